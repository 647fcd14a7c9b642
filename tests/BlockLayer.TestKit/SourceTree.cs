namespace BlockLayer.TestKit;

/// <summary>Where the sources of the running tests are.</summary>
public static class SourceTree
{
    /// <summary>The folder that holds BlockLayer.sln, looked for upwards from the test program.</summary>
    public static string Root { get; } = Find();

    private static string Find()
    {
        for (string? folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "BlockLayer.sln")))
            {
                return folder;
            }
        }

        throw new InvalidOperationException($"BlockLayer.sln is in no folder above {AppContext.BaseDirectory}.");
    }
}
