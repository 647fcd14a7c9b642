using System.Globalization;
using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>Finds the image of a chain that a caller means by <c>base</c> or <c>top</c>.</summary>
/// <remarks>
/// libvirt, virDomainBlockRebase and virDomainBlockCommit: a path inside the chain, or the target and an index such as <c>vda[2]</c>. A name that begins with a slash is always a path. A path is
/// looked for as it is spelled, then as what images record of each other, then as the file it leads to; where two images answer to it, it is refused.
/// </remarks>
internal sealed class ChainAddress(string target, IReadOnlyList<ChainElement> chain, StorageProvider files)
{
    /// <summary>The image that <paramref name="name"/> means.</summary>
    /// <exception cref="LibvirtException">InvalidArg: none, or more than one; SystemError, AccessDenied: a path cannot be looked at.</exception>
    internal ChainElement Find(string name)
    {
        if (name.Length == 0 || name.Contains('\0', StringComparison.Ordinal))
        {
            throw NotFound(name);
        }

        if (!name.StartsWith('/'))
        {
            if (name == target)
            {
                return chain[0];
            }

            if (TryReadIndex(name, out string named, out int index))
            {
                return FindByIndex(name, named, index);
            }
        }

        return FindByPath(name);
    }

    private ChainElement FindByIndex(string name, string named, int index)
    {
        if (named != target)
        {
            throw Refused($"'{name}' is an image of the disk '{named}', and the call is about '{target}'.");
        }

        return index > 0 && index < chain.Count
            ? chain[index]
            : throw Refused($"The chain of '{target}' has no backing store {index}; it has {(chain.Count == 1 ? "none" : $"1 to {chain.Count - 1}")}.");
    }

    private ChainElement FindByPath(string name)
        => TheOne(name, element => element.Path == name)
            ?? TheOne(name, element => element.RecordedName == name)
            ?? TheOne(name, element => LeadsTo(name, element))
            ?? throw NotFound(name);

    private ChainElement? TheOne(string name, Func<ChainElement, bool> isMeant)
    {
        ChainElement? found = null;
        foreach (ChainElement element in chain.Where(isMeant))
        {
            if (found is not null)
            {
                throw Refused($"'{name}' is ambiguous in the chain of '{target}': it means {found} and {element}. Name the image by its index.");
            }

            found = element;
        }

        return found;
    }

    // A relative name is looked up from where the image above stands, as an open of the chain would.
    private bool LeadsTo(string name, ChainElement element)
    {
        string path = name;
        if (!name.StartsWith('/'))
        {
            if (element.Index == 0)
            {
                return false;
            }

            string folder = Path.GetDirectoryName(chain[element.Index - 1].Path) ?? "";
            path = Path.Combine(folder, name);
        }

        return files.Look(path) is { } wanted && files.Look(element.Path) is { } found && wanted.Identity == found.Identity;
    }

    // "vda[2]": anything else is no index but a name.
    private static bool TryReadIndex(string name, out string named, out int index)
    {
        index = 0;
        int open = name.IndexOf('[', StringComparison.Ordinal);
        named = open > 0 ? name[..open] : "";
        return open > 0
            && name.EndsWith(']')
            && int.TryParse(name.AsSpan(open + 1, name.Length - open - 2), NumberStyles.None, CultureInfo.InvariantCulture, out index);
    }

    private LibvirtException NotFound(string name)
        => Refused($"'{name}' is not in the chain of '{target}': {string.Join(" <- ", chain.Reverse().Select(element => element.Path))}.");

    private static LibvirtException Refused(string message) => new(LibvirtErrorCode.InvalidArg, LibvirtErrorDomain.Storage, message);
}
