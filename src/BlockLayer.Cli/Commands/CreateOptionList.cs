using BlockLayer.Cli.CommandLine;

namespace BlockLayer.Cli.Commands;

/// <summary>Create options as qemu-img writes them: <c>-o cluster_size=64k,compat=1.1</c>, repeatable; two commas stand for one in a value.</summary>
internal static class CreateOptionList
{
    /// <exception cref="UsageException">A part is not name=value.</exception>
    internal static Dictionary<string, string> Parse(IEnumerable<string> lists) => Parse("-o", lists);

    /// <summary>As <see cref="Parse(IEnumerable{string})"/>, for the option of another name, which the error names.</summary>
    internal static Dictionary<string, string> Parse(string option, IEnumerable<string> lists)
    {
        var options = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string part in lists.SelectMany(Split))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0)
            {
                throw new UsageException($"{option} takes name=value pairs, not '{part}'.");
            }

            options[part[..equals]] = part[(equals + 1)..];
        }

        return options;
    }

    /// <summary>The files that the user names in create options: what the new image refers to there was not written by a stranger.</summary>
    internal static string[] FilesIn(IReadOnlyDictionary<string, string> options)
        => options.TryGetValue("data_file", out string? dataFile) ? [dataFile] : [];

    private static IEnumerable<string> Split(string list)
    {
        const char Escaped = '\0';
        return list.Replace(",,", Escaped.ToString(), StringComparison.Ordinal)
            .Split(',', StringSplitOptions.RemoveEmptyEntries)
            .Select(part => part.Replace(Escaped, ','));
    }
}
