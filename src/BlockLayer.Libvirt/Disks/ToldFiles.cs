using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.Libvirt;

/// <summary>What a host's files answer about paths, for calls that tell every failure as libvirt would.</summary>
internal static class ToldFiles
{
    /// <summary>What stands at a path; null if nothing does.</summary>
    /// <exception cref="LibvirtException">SystemError, AccessDenied: it cannot be looked at, such as a name that is too long.</exception>
    internal static StorageFileInfo? Look(this StorageProvider files, string path) => Told(() => files.GetInfo(path));

    /// <summary>The path with every link resolved and made absolute.</summary>
    /// <exception cref="LibvirtException">SystemError, AccessDenied: its folder is not there, or cannot be looked into.</exception>
    internal static string Resolve(this StorageProvider files, string path) => Told(() => files.GetRealPath(path));

    private static T Told<T>(Func<T> ask)
    {
        try
        {
            return ask();
        }
        catch (BlockLayerException error)
        {
            throw new LibvirtException(LibvirtError.Of(error), error);
        }
    }
}
