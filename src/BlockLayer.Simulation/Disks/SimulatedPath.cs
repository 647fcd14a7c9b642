using BlockLayer.Errors;

namespace BlockLayer.Simulation;

/// <summary>Paths of simulated storage: <c>/</c> separated, relative ones start at the root, every directory exists.</summary>
internal static class SimulatedPath
{
    // Linux follows at most 40 links (MAXSYMLINKS).
    private const int MaxLinks = 40;

    /// <summary>The directory of a normalised path; the root is its own.</summary>
    internal static string GetDirectory(string path)
    {
        int slash = path.LastIndexOf('/');
        return slash <= 0 ? "/" : path[..slash];
    }

    /// <summary>Absolute, without <c>.</c>, <c>..</c> and doubled slashes, links followed.</summary>
    /// <param name="path">Any path.</param>
    /// <param name="links">Target by normalised path of the link; a relative target starts at the link's directory.</param>
    internal static string Resolve(string path, IReadOnlyDictionary<string, string> links)
    {
        var rest = new Stack<string>();
        Push(rest, path);
        string resolved = "";
        int followed = 0;
        while (rest.TryPop(out string? part))
        {
            if (part == "..")
            {
                resolved = resolved.Length == 0 ? "" : resolved[..resolved.LastIndexOf('/')];
                continue;
            }

            string candidate = $"{resolved}/{part}";
            if (!links.TryGetValue(candidate, out string? target))
            {
                resolved = candidate;
                continue;
            }

            if (++followed > MaxLinks)
            {
                throw new BlockLayerException(BlockErrorKind.Io, $"The path leads through more than {MaxLinks} links.") { Path = path };
            }

            resolved = target.StartsWith('/') ? "" : resolved;
            Push(rest, target);
        }

        return resolved.Length == 0 ? "/" : resolved;
    }

    private static void Push(Stack<string> rest, string path)
    {
        string[] parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        for (int i = parts.Length - 1; i >= 0; i--)
        {
            if (parts[i] != ".")
            {
                rest.Push(parts[i]);
            }
        }
    }
}
