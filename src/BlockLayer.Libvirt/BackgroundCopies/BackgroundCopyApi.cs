using BlockLayer.Graph;
using BlockLayer.Jobs;

namespace BlockLayer.Libvirt;

/// <summary>
/// QEMU's background copy as it was sketched in 2011 (background_copy_start, _cancel and _get_status), before it became block jobs: it knows images, and nothing of domains. It is a pull under other names.
/// </summary>
/// <remarks>
/// The sketch left open what becomes of the backing link. Here the base is the image's backing file when the callback tells 0, durably; without a base there is none. Until then, and after any other result, the
/// chain is as it was; there is no journal, and after a crash the copy is simply started again.
/// </remarks>
public static class BackgroundCopyApi
{
    /// <summary>Starts to fill an image with what its backing chain provides and the base does not. Guests go on meanwhile.</summary>
    /// <param name="node">The disk's newest image or a filter above it, such as <see cref="Images.Disk.Root"/>. It stays open until the copy is over.</param>
    /// <param name="base">An image of the chain, whose content, and what is below it, is not copied; null copies everything.</param>
    /// <param name="callback">Called once when the copy is over, however it ended; null for none.</param>
    /// <param name="cancellationToken">Honoured until the copy runs.</param>
    /// <returns>The handle.</returns>
    /// <exception cref="Errors.BlockLayerException">NotFound (no such base in the chain), ReadOnly, Unsupported, Conflict: nothing has changed, and no callback is called.</exception>
    public static async ValueTask<BackgroundCopy> StartAsync(
        BlockNode node, BlockNode? @base, BackgroundCopyCallback? callback, CancellationToken cancellationToken = default)
    {
        var copy = new BackgroundCopy(node, @base, callback);
        await copy.Job.StartAsync(cancellationToken).ConfigureAwait(false);
        return copy;
    }

    /// <summary>
    /// Asks a copy to stop, and returns at once. The callback is called when it has really stopped, once for each call; it may be while this call runs, and is at once if the copy is over already. A copy that is being made
    /// durable completes all the same, and the callback is told 0. What was copied stays.
    /// </summary>
    public static void Cancel(BackgroundCopy copy, BackgroundCopyCallback? callback = null) => copy.Cancel(callback);

    /// <summary>How the copy stands.</summary>
    public static BackgroundCopyStatus GetStatus(BackgroundCopy copy) => copy.Status;

    /// <summary>Asks a copy to stop, and waits until it has.</summary>
    /// <returns>How it ended.</returns>
    public static async ValueTask<JobResult> CancelAsync(BackgroundCopy copy)
    {
        copy.Cancel(callback: null);
        return await copy.Completion.ConfigureAwait(false);
    }
}
