using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.TestKit.Graph;

/// <summary>The part of a job that writes an image below the top: makes it writable, puts a filter in front with the right to write, and puts all back.</summary>
internal sealed class WritingJob
{
    private const ImagePermissions Needs = ImagePermissions.ConsistentRead | ImagePermissions.Write | ImagePermissions.WriteUnchanged | ImagePermissions.Resize;

    private readonly NodeReopen _reopen;
    private readonly PassThroughNode _filter;

    private WritingJob(BlockNode image, NodeReopen reopen, PassThroughNode filter)
    {
        Image = image;
        _reopen = reopen;
        _filter = filter;
    }

    internal BlockNode Image { get; }

    /// <summary>The job's way to the image.</summary>
    internal BlockEdge Way => _filter.Filtered;

    internal static async Task<WritingJob> StartAsync(BlockNode image)
    {
        using GraphChange change = await GraphChange.BeginAsync(image, CancellationToken.None);
        NodeReopen reopen = await NodeReopen.MakeWritableAsync(change, image, CancellationToken.None);
        image.AddReference();
        var filter = new PassThroughNode(image, ImagePermissions.ConsistentRead, ImagePermissions.All);
        await FilterInsertion.InsertAsync(change, image, filter, Needs, ImagePermissions.All);
        return new WritingJob(image, reopen, filter);
    }

    /// <summary>Only the first step.</summary>
    internal static async Task<NodeReopen> MakeWritableAsync(BlockNode image)
    {
        using GraphChange change = await GraphChange.BeginAsync(image, CancellationToken.None);
        return await NodeReopen.MakeWritableAsync(change, image, CancellationToken.None);
    }

    /// <summary>Only the last step.</summary>
    internal static async Task RestoreAsync(NodeReopen reopen, BlockNode image)
    {
        using GraphChange change = await GraphChange.BeginAsync(image, CancellationToken.None);
        await reopen.RestoreAsync(change);
    }

    /// <summary>As the job's completion would.</summary>
    internal async Task ResizeAsync(long length)
    {
        using GraphChange change = await GraphChange.BeginAsync(Image, CancellationToken.None);
        await Way.ResizeAsync(length, ResizeOptions.GrowOnly, CancellationToken.None);
    }

    internal async Task EndAsync()
    {
        using GraphChange change = await GraphChange.BeginAsync(Image, CancellationToken.None);
        await FilterInsertion.RemoveAsync(_filter);
        await _filter.DisposeAsync();
        await _reopen.RestoreAsync(change);
    }
}
