using System.Diagnostics;
using System.Runtime.ExceptionServices;
using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.Graph;

/// <summary>
/// Makes an image writable that was opened read-only as a backing file, for as long as a job has to write it: a commit writes its base, a stream fills an
/// intermediate image. <see cref="RestoreAsync"/> puts it back. A job whose image becomes the active one does not restore.
/// </summary>
/// <remarks>
/// <para>
/// The nodes stay and change their access in place. Opening the file a second time as another node would be the other way, and was not taken: overlays, filters, claims,
/// frozen links, attached bitmaps and running jobs hold the node, not its place in the graph, and would each have to be told; two nodes of one image would for a
/// while both believe what their tables say; and passphrases and the policy that let the files in are not kept after an open. In place everybody holds what he held.
/// </para>
/// <code>
///   for each file:  opened again to write, the same inode or refused -- its lock becomes a writer's -- requests go to the second open
///   then the image: tables and header read anew, what only a writer has is made                        (a failure undoes all of it)
///   ...
///   restore:        everything on disk as after a clean close -- writers' parts dropped -- second opens closed -- locks become readers' again
/// </code>
/// <list type="number">
/// <item>The lock belongs to the first open of the file, is changed on it and never given up, so nobody gets in between; going back needs nothing that could be lacking.</item>
/// <item>Somebody else who reads the image, as the backing file of another overlay say, excludes a writer: <see cref="BlockErrorKind.Conflict"/>, and nothing has changed.</item>
/// <item>It writes only what the caller of the open allowed to be written: where nothing above the image is writable, neither is the image.</item>
/// <item>No right to write comes from it. The image's overlays still share what they shared, which is <see cref="ImagePermissions.ConsistentRead"/> and
/// <see cref="ImagePermissions.WriteUnchanged"/>: a job that writes or resizes puts a filter of its own between, with those needs.</item>
/// <item>Filters that stand on the image already keep their access; those put on it afterwards take the image's. So a job reopens first and inserts then, and
/// removes its filter before it restores.</item>
/// <item>Several jobs one after the other, or nested, may reopen one image; the last restore counts.</item>
/// </list>
/// </remarks>
internal sealed class NodeReopen
{
    private readonly BlockNode _image;
    private readonly Uses? _uses; // it is one of these; null for an image that was writable already
    private bool _isRestored; // changes within a graph change

    private NodeReopen(BlockNode image, Uses? uses) => (_image, _uses) = (image, uses);

    /// <summary>Makes an image writable; one that is writable already stays so.</summary>
    /// <param name="change">A change that has drained the image.</param>
    /// <param name="image">The image, or a filter in front of it.</param>
    /// <param name="cancellationToken">Honoured until the image itself changes.</param>
    /// <returns>What undoes it. Not to be restored where the image is to stay writable.</returns>
    /// <exception cref="BlockLayerException">
    /// Conflict: somebody else has one of its files open, or it was opened without locks, or its name leads elsewhere now; Denied, ReadOnly, NotFound: a file cannot be
    /// opened to write, or nothing above is writable; Corrupt, Unsupported: the image can only be read; Io. Nothing has changed.
    /// </exception>
    internal static async ValueTask<NodeReopen> MakeWritableAsync(GraphChange change, BlockNode image, CancellationToken cancellationToken)
    {
        image = image.SkipFilters();
        Debug.Assert(change.Drain.Covers(image), "access changes while nobody is inside");
        if (image.WritableFor is { } uses)
        {
            uses.Count++;
        }
        else if (image.IsReadOnly)
        {
            ThrowIfNothingAboveIsWritable(image);
            BlockNode[] parts = [.. PartsOf(image).Where(part => part.IsReadOnly)];
            await BeginAsync(image, parts, cancellationToken).ConfigureAwait(false);
            image.WritableFor = new Uses(parts);
        }

        return new NodeReopen(image, image.WritableFor);
    }

    /// <summary>
    /// Makes the image read-only again, unless another job still needs it writable. Everything is on disk then, as after a clean close. Later calls do nothing, nor
    /// does a call for an image that was opened writable, has become read-only for good, or is closed by now.
    /// </summary>
    /// <param name="change">A change that has drained the image.</param>
    /// <exception cref="BlockLayerException">
    /// Conflict: a parent still needs to write the image; NoSpace, Io, Corrupt: something could not be written. The image is still writable: call again, or close it.
    /// </exception>
    internal async ValueTask RestoreAsync(GraphChange change)
    {
        if (_isRestored || _image.IsDisposed || _uses is not { } uses || uses != _image.WritableFor)
        {
            return;
        }

        Debug.Assert(change.Drain.Covers(_image), "access changes while nobody is inside");
        if (uses.Count > 1)
        {
            uses.Count--;
            _isRestored = true;
            return;
        }

        ThrowIfWritten(_image);
        foreach (BlockNode part in uses.Parts.Reverse()) // the image first: its files are still written by that
        {
            await part.SettleToReadAsync().ConfigureAwait(false);
        }

        _image.WritableFor = null;
        _isRestored = true;
        await EndAsync(uses.Parts).ConfigureAwait(false);
    }

    /// <summary>
    /// Brings everything to disk of an image that is about to become read-only (<see cref="MakeReadOnlyAsync"/>), as a clean close does. Should that not follow after all, the image
    /// can be written as before.
    /// </summary>
    /// <param name="change">A change that has drained the image.</param>
    /// <param name="image">The image, not a filter.</param>
    /// <exception cref="BlockLayerException">
    /// NoSpace, Io, Corrupt: something could not be written, or a sync has failed earlier; Unsupported, Conflict: a file's lock cannot become a reader's.
    /// </exception>
    internal static async ValueTask SettleAsync(GraphChange change, BlockNode image)
    {
        Debug.Assert(change.Drain.Covers(image), "access changes while nobody is inside");
        foreach (BlockNode part in PartsOf(image))
        {
            await part.ThrowIfCannotEndWritingAsync().ConfigureAwait(false);
        }

        foreach (BlockNode part in PartsOf(image).Reverse())
        {
            await part.SettleToReadAsync().ConfigureAwait(false);

            // Settling passes over a file whose sync has failed, because a close has to go on. But nobody flushes this image any more, and a later flush of what is put above it
            // must not be taken for one of what was written here.
            await part.FlushAsync(Origin.Edge, CancellationToken.None).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Makes an image read-only that was opened to be written, or was made writable for good, and is settled: it has become a backing file. Others may lock its files to
    /// read from then on.
    /// </summary>
    /// <param name="change">A change that has drained the image.</param>
    /// <param name="image">The image, not a filter; nobody above needs to write it.</param>
    internal static ValueTask MakeReadOnlyAsync(GraphChange change, BlockNode image)
    {
        Debug.Assert(change.Drain.Covers(image), "access changes while nobody is inside");
        ThrowIfWritten(image);
        image.WritableFor = null;
        return EndAsync([.. PartsOf(image).Where(static part => !part.IsReadOnly)]);
    }

    /// <summary>The image and what it keeps its bytes in, what stands below first. Its backing chain is no part of it.</summary>
    private static IEnumerable<BlockNode> PartsOf(BlockNode image)
        => image.Children.Where(static edge => edge.Role != EdgeRole.Backing).SelectMany(static edge => PartsOf(edge.Child)).Append(image);

    private static async ValueTask BeginAsync(BlockNode image, BlockNode[] parts, CancellationToken cancellationToken)
    {
        int begun = 0;
        try
        {
            for (; begun < parts.Length; begun++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                using DrainScope alone = await DrainScope.BeginAsync(parts[begun]).ConfigureAwait(false); // a file may be read through its own door
                await parts[begun].BeginWritingAsync(CancellationToken.None).ConfigureAwait(false);
            }
        }
        catch (Exception error)
        {
            await EndAsync(parts[..begun]).ConfigureAwait(false);
            if (error is BlockLayerException refusal)
            {
                throw Refusal(image, parts[begun], refusal);
            }

            throw;
        }
    }

    private static async ValueTask EndAsync(BlockNode[] parts)
    {
        ExceptionDispatchInfo? failure = null;
        foreach (BlockNode part in parts.Reverse())
        {
            try
            {
                using DrainScope alone = await DrainScope.BeginAsync(part).ConfigureAwait(false);
                await part.EndWritingAsync().ConfigureAwait(false);
            }
            catch (BlockLayerException error)
            {
                failure ??= ExceptionDispatchInfo.Capture(error); // the others are put back all the same
            }
        }

        failure?.Throw();
    }

    private static void ThrowIfNothingAboveIsWritable(BlockNode image)
    {
        if (!HasWriterAbove(image))
        {
            throw new BlockLayerException(
                BlockErrorKind.ReadOnly,
                $"'{image.NodeName}' is open read-only, and so is everything above it: open the disk for writing to have its images written.")
            {
                NodeName = image.NodeName,
                Path = image.Path,
            };
        }
    }

    private static bool HasWriterAbove(BlockNode image) => image.Parents.Any(static edge => !edge.Parent.IsReadOnly || HasWriterAbove(edge.Parent));

    private static void ThrowIfWritten(BlockNode image)
    {
        const ImagePermissions Writes = ImagePermissions.Write | ImagePermissions.WriteUnchanged | ImagePermissions.Resize;
        if (image.Parents.FirstOrDefault(static edge => (edge.Needs & Writes) != 0) is { } writer)
        {
            throw new BlockLayerException(
                BlockErrorKind.Conflict, $"'{image.NodeName}' cannot become read-only: '{writer.Parent.NodeName}' needs {writer.Needs & Writes} on it.")
            {
                NodeName = image.NodeName,
                Path = image.Path,
            };
        }
    }

    private static BlockLayerException Refusal(BlockNode image, BlockNode part, BlockLayerException cause)
    {
        string? file = cause.Path ?? part.Path;
        string which = file is null || file == image.NodeName ? "" : $"its file '{file}': ";
        return new BlockLayerException(cause.Kind, $"'{image.NodeName}' cannot be made writable: {which}{cause.Message}", cause)
        {
            NodeName = image.NodeName,
            Path = file,
            Offset = cause.Offset,
        };
    }

    /// <summary>How many have made an image writable and not restored it, and the nodes that became writable for it.</summary>
    internal sealed class Uses(BlockNode[] parts)
    {
        /// <summary>The nodes, the image last.</summary>
        internal BlockNode[] Parts => parts;

        /// <summary>How many; changes within a graph change.</summary>
        internal int Count { get; set; } = 1;
    }
}
