using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Jobs;

/// <summary>
/// Gives a disk's newest image another backing file while guests go on. Where the image has nothing of its own and the two chains differ, it gets a copy of what it
/// shows now; then the new chain takes the place of the old one.
/// </summary>
/// <remarks>
/// <para>A copy is stored only where nothing is allocated, and what is allocated stays so: one pass over the disk, whatever guests write meanwhile, leaves nothing that
/// would show differently. The length stays, because what a resize adds must not show the new chain.</para>
/// <para>A job that was cancelled, failed or killed leaves the image on its old chain, reading as before; run again, it compares only what is not copied yet.</para>
/// <para>Success is told only after, in this order: nothing differs; the change of the graph cannot fail any more; what was copied is durable; the image's header
/// names the new backing file, durably; the graph is switched. Up to the header the old chain reads right, from the header on both do.</para>
/// </remarks>
public sealed partial class RebaseJob : BlockJob
{
    private readonly RebaseOptions _options;
    private readonly BlockNode _image;
    private BlockNode? _next;              // ours from set-up to the switch or clean-up
    private (string Name, StorageIdentity? Identity)[] _before = []; // the files of the chain at the start
    private ChainClaim? _claim;            // from set-up until everything is given back
    private ChainFreeze? _freeze;          // of the new chain; from set-up until everything is given back
    private GuestCountNode? _guests;       // from set-up until everything is given back
    private BackingDifference? _difference; // from set-up on, of a safe rebase
    private Exception? _ignored;           // the first error that was ignored
    private long _copied;                  // interlocked

    /// <summary>A job to change an image's backing file.</summary>
    /// <param name="disk">The image, or a filter above it such as the root of a disk.</param>
    /// <param name="options">The new backing file, and how.</param>
    public RebaseJob(BlockNode disk, RebaseOptions options)
        : base(options, disk)
    {
        _options = options;
        _image = disk.SkipFilters();
        _next = options.Backing;
    }

    /// <inheritdoc/>
    public override string Kind => "rebase";

    /// <summary>Bytes that the job has copied so far, zeroes included.</summary>
    public long CopiedBytes => Interlocked.Read(ref _copied);

    private protected override long End => _image.Length;

    /// <summary>What the job would work on. Refuses what the start would refuse, except that it does not ask who works there now.</summary>
    /// <exception cref="BlockLayerException">As for the start.</exception>
    internal JobScope Look()
    {
        ThrowIfUnfit();
        return new JobScope([.. BackingChain.Images(_image)], Base: null);
    }

    private protected override async ValueTask SetUpAsync(CancellationToken cancellationToken)
    {
        using GraphChange change = await GraphChange.BeginAsync(_image, cancellationToken).ConfigureAwait(false);
        ThrowIfUnfit();
        _before = [.. BackingChain.Images(_image).SelectMany(JobFiles.FilesOf)];
        _claim = ChainClaim.Take(_image, BackingChain.Images(_image).Last(), ToString());
        try
        {
            _image.ExpectsBacking = _next is not null;
            _freeze = _next is null ? null : ChainFreeze.Between(_next, BackingChain.Images(_next).Last(), ToString());
            _image.AddReference();
            var guests = new GuestCountNode(_image, _options.GuestsFirst, needsLength: ToString());
            _guests = guests;
            await FilterInsertion.InsertAsync(change, _image, guests, ImagePermissions.WriteUnchanged, ImagePermissions.All).ConfigureAwait(false);
        }
        catch
        {
            await GiveBackAsync().ConfigureAwait(false);
            throw;
        }

        _difference = _options.Mode == RebaseMode.Safe ? new BackingDifference(Origin.Door, _image, _image.Backing, _next) : null;
    }

    // So that the flush with guests held back is short.
    private protected override ValueTask PrepareAsync() => _guests!.FlushAsync(CancellationToken.None);

    private protected override async ValueTask CommitAsync()
    {
        BlockNode? previous = null;
        try
        {
            using GraphChange change = await GraphChange.BeginAsync(_image, CancellationToken.None).ConfigureAwait(false);
            _claim!.Thaw();
            previous = await BackingSwitch.RunAsync(_image, _next, ReferenceToNext()).ConfigureAwait(false);
            _next = null;
            await GiveBackAsync().ConfigureAwait(false);
        }
        finally
        {
            if (previous is not null)
            {
                await CloseUnneededAsync(previous).ConfigureAwait(false); // closed after the doors are open again
            }
        }
    }

    private protected override async ValueTask CleanUpAsync()
    {
        if (_claim is not null)
        {
            using GraphChange change = await GraphChange.BeginAsync(_image, CancellationToken.None).ConfigureAwait(false);
            await GiveBackAsync().ConfigureAwait(false);
        }

        if (_next is { } unused)
        {
            _next = null;
            await unused.DisposeAsync().ConfigureAwait(false);
        }
    }

    private protected override JobFiles DescribeFiles()
    {
        // The new chain may have opened a file of the old one once more, whatever it is called there.
        (string Name, StorageIdentity? Identity)[] needed = [.. BackingChain.Images(_image).SelectMany(JobFiles.FilesOf)];
        IEnumerable<string> unneeded = _before
            .Where(old => !needed.Any(file => file.Identity is null ? file.Name == old.Name : file.Identity == old.Identity))
            .Select(static old => old.Name);
        return new JobFiles { Needed = [.. needed.Select(static file => file.Name)], Unneeded = [.. unneeded] };
    }

    // The caller holds a change that has drained the image.
    private async ValueTask GiveBackAsync()
    {
        _claim?.Dispose();
        _claim = null;
        _image.ExpectsBacking = false;
        _freeze?.Dispose();
        _freeze = null;
        if (_guests is { } guests)
        {
            _guests = null;
            await FilterInsertion.RemoveAsync(guests).ConfigureAwait(false);
            await guests.DisposeAsync().ConfigureAwait(false);
        }
    }

    // The caller holds the graph as it is.
    private void ThrowIfUnfit()
    {
        NewestImage.Require(Disk, _image);
        if (_image.IsReadOnly)
        {
            throw Refusal(BlockErrorKind.ReadOnly, $"'{_image.NodeName}' is open read-only and cannot get another backing file.");
        }

        if (_options.Mode == RebaseMode.Safe && !_image.Limits.SupportsPopulate)
        {
            throw Refusal(BlockErrorKind.Unsupported, $"'{_image.NodeName}' ({_image.DriverName}) takes no copies from a backing file.");
        }

        if (_options.Mode == RebaseMode.Safe && _image.Backing is null && _image.BackingReference is { } unopened)
        {
            throw Refusal(BlockErrorKind.Conflict, $"'{_image.NodeName}' records the backing file {unopened}, which is not open: what it holds cannot be compared.");
        }

        if (_next is not null && BackingChain.Images(_next).Intersect(BackingChain.Images(_image)).Any())
        {
            throw Refusal(BlockErrorKind.Conflict, $"'{_next.NodeName}' shares images with the chain of '{_image.NodeName}': pull to it instead, or open it once more.");
        }

        _image.ThrowIfCannotRecordBacking(ReferenceToNext());
    }

    private BackingReference? ReferenceToNext() => _next is null ? null : BackingName.ReferenceTo(_image, _next.SkipFilters(), _options.BackingName);

    private BlockLayerException Refusal(BlockErrorKind kind, string message) => new(kind, message) { NodeName = _image.NodeName, Path = _image.Path };
}
