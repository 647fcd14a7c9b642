using BlockLayer.Images;

namespace BlockLayer.Libvirt;

/// <summary>Looks, before a commit begins, for other images in the host's folders that it would destroy.</summary>
internal static class CommitGuard
{
    /// <summary>Refuses such a commit. A host without <see cref="LibvirtHostOptions.ImageFolders"/> looks nowhere, as libvirt.</summary>
    /// <param name="options">Of the host.</param>
    /// <param name="deletesFiles">Whether the files that the disk does not need any more are going to be deleted.</param>
    /// <param name="planAsync">Plans the commit with the folders.</param>
    /// <exception cref="LibvirtException">OperationUnsupported; the message names the images.</exception>
    internal static async ValueTask CheckAsync(LibvirtHostOptions options, bool deletesFiles, Func<IReadOnlyList<string>, ValueTask<ChainPlan>> planAsync)
    {
        if (options.ImageFolders.Count == 0)
        {
            return;
        }

        ChainPlan plan = await planAsync(options.ImageFolders).ConfigureAwait(false);
        if (plan.Destroyed.Count > 0)
        {
            throw Refused($"Committing '{plan.Image}' into '{plan.Base}'", plan.Destroyed);
        }

        if (deletesFiles && plan.Dependent.Count > 0)
        {
            throw Refused($"Deleting the files that a commit of '{plan.Image}' leaves over", plan.Dependent);
        }
    }

    private static LibvirtException Refused(string what, IReadOnlyList<AffectedImage> images)
    {
        string names = string.Join(", ", images.Select(static image => $"'{image.Path}' (through '{image.Through}')"));
        return LibvirtException.Refused(LibvirtErrorCode.OperationUnsupported, $"{what} would destroy {names}. Rebase what is to be kept, or remove the rest.");
    }
}
