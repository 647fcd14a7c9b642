using Xunit;

namespace BlockLayer.TestKit;

/// <summary>
/// What tests tell beyond passing: how many states they explored, how many images they tried. Each line goes to the test's own output and, since runners show
/// that of failures alone, to the file that the environment variable <c>BLK_REPORT</c> names; <c>tests/run.sh</c> prints it.
/// </summary>
public static class TestReport
{
    private static readonly Lock s_gate = new();
    private static readonly string? s_file = Environment.GetEnvironmentVariable("BLK_REPORT");

    /// <summary>Tells one line.</summary>
    public static void Add(string line)
    {
        TestContext.Current.TestOutputHelper?.WriteLine(line);
        if (!string.IsNullOrEmpty(s_file))
        {
            lock (s_gate)
            {
                File.AppendAllText(s_file, line + "\n");
            }
        }
    }
}
