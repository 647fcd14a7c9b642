using System.Text;

namespace BlockLayer.Libvirt;

/// <summary>
/// The relative name under which an overlay can record an image further down its chain. It is put together from the names that the images between them record of each
/// other, which is what keeps a chain valid when its folder is moved; the files themselves are not asked.
/// </summary>
internal static class RelativeName
{
    /// <summary>Joins the names along a chain.</summary>
    /// <param name="recorded">
    /// What the overlay, and then each image below it, records of the next one: the last name is the one that leads to the base. Null where nothing is recorded.
    /// </param>
    /// <returns>The name of the base as seen from the overlay's folder; null when a name on the way is not relative, so that none can be derived.</returns>
    internal static string? Join(IReadOnlyList<string?> recorded)
    {
        var path = new StringBuilder();
        foreach (string? name in recorded)
        {
            if (name is null || !IsRelative(name))
            {
                return null;
            }

            // Only the folder of what was reached so far counts for the next name; "..", which a link may redirect, is kept as it is.
            path.Length = path.ToString().LastIndexOf('/') + 1;
            path.Append(name);
        }

        return path.Length == 0 ? null : path.ToString();
    }

    /// <summary>True for a plain name that is looked up from the folder of the file that records it.</summary>
    internal static bool IsRelative(string name)
    {
        int colon = name.IndexOf(':', StringComparison.Ordinal);
        int slash = name.IndexOf('/', StringComparison.Ordinal);
        bool isPlain = colon < 0 || (slash >= 0 && slash < colon); // "a:b" alone is b by the protocol a
        return name.Length > 0 && isPlain && !Path.IsPathRooted(name);
    }
}
