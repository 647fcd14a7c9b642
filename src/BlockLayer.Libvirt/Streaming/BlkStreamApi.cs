using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.Primitives;

namespace BlockLayer.Libvirt;

/// <summary>
/// Streaming as a driver, as it was proposed in 2011: the device is opened as <c>blkstream:IMAGE</c>, which stores what is read of its backing files; whoever reads it from its beginning
/// to its end has filled it, and then its final base is written into it.
/// </summary>
/// <remarks>
/// What is in the base or below it is never copied, whoever reads. The reader here is a guest like any other: guests' reads and writes go on meanwhile, and what one of them has copied
/// already, the other does not fetch again. Interrupted by whatever, it is simply begun again.
/// </remarks>
public sealed class BlkStreamApi : IAsyncDisposable
{
    private const int ReadLength = 1 << 20;

    private readonly BlockNode _image;
    private readonly string? _base;
    private CopyOnReadNode? _filter; // until the device was read to its end
    private bool _isDone;
    private long _position;          // interlocked

    private BlkStreamApi(BlockNode image, CopyOnReadNode filter, string? @base)
    {
        _image = image;
        _filter = filter;
        _base = @base;
        Disk = new Disk(filter);
    }

    /// <summary>The device, for guests.</summary>
    public Disk Disk { get; }

    /// <summary>Bytes of the device that the stream has read, from its beginning on.</summary>
    public long Position => Interlocked.Read(ref _position);

    /// <summary>Opens a device.</summary>
    /// <param name="name"><c>blkstream:IMAGE</c>.</param>
    /// <param name="base">The file of the chain that is to be the image's backing file in the end; null for none.</param>
    /// <param name="options">How the image is opened, and how it is filled (<see cref="DiskOptions.CopyOnRead"/>).</param>
    /// <param name="cancellationToken">Honoured between files.</param>
    /// <exception cref="ArgumentException">The name is another one.</exception>
    /// <exception cref="Errors.BlockLayerException">As for opening an image; NotFound: the base is not below it.</exception>
    public static async ValueTask<BlkStreamApi> OpenAsync(string name, string? @base = null, DiskOptions? options = null, CancellationToken cancellationToken = default)
    {
        options ??= new DiskOptions();
        if (!FilterName.IsOne(name) || FilterName.Parse(name) is not { Kind: FilterKind.Stream } parsed)
        {
            throw new ArgumentException($"'{name}' is not the name of a device that streams: that is blkstream:IMAGE.", nameof(name));
        }

        var how = new ImageOpenOptions
        {
            Format = options.Format,
            FormatOptions = options.FormatOptions,
            Access = options.Access,
            Policy = options.Policy,
            Secrets = options.Secrets,
        };
        BlockNode image = await new ImageOpener(options.Formats, options.Environment).OpenAsync(parsed.Image, how, cancellationToken).ConfigureAwait(false);
        try
        {
            BlockNode? bottom = @base is null ? null : BackingChain.OverlayOf(image, BackingChain.FindByPath(image, @base));
            return new BlkStreamApi(image, CopyOnReadNode.Create(image, bottom, options.CopyOnRead), @base);
        }
        catch
        {
            await image.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>
    /// Reads the device from its beginning to its end, and then writes the base: what the reads could not store is copied, everything is made durable, the header names the base,
    /// durably, and the device goes on without what was above it. A device that has streamed already does nothing.
    /// </summary>
    /// <param name="cancellationToken">Honoured between reads. What was copied stays.</param>
    /// <returns>What went wrong when all that was done, and does not change it: an image above the base could not be closed, say (<see cref="JobResult.Error"/>). Null for nothing.</returns>
    /// <exception cref="Errors.BlockLayerException">A read failed, or the end could not be made durable. The device works, and the stream can be begun again.</exception>
    /// <exception cref="OperationCanceledException">The token fired, or the device was closed.</exception>
    public async ValueTask<Exception?> StreamAsync(CancellationToken cancellationToken = default)
    {
        if (_isDone)
        {
            return null;
        }

        if (_filter is not null)
        {
            await ReadAllAsync(cancellationToken).ConfigureAwait(false);
            await RemoveFilterAsync(_filter).ConfigureAwait(false);
        }

        StreamJob end = await Disk.StartPullAsync(new StreamOptions { BaseName = _base }, cancellationToken).ConfigureAwait(false);
        JobResult result = await end.Completion.ConfigureAwait(false);
        result.ThrowUnlessCompleted("The device was closed before its base was written.", CancellationToken.None);
        _isDone = true;
        return result.Error;
    }

    /// <summary>Closes the device. Not a flush.</summary>
    public ValueTask DisposeAsync() => Disk.DisposeAsync();

    private async ValueTask ReadAllAsync(CancellationToken cancellationToken)
    {
        using PooledBuffer buffer = _image.Environment.Buffers.Rent(ReadLength);
        Interlocked.Exchange(ref _position, 0);
        while (Position < Disk.Length)
        {
            int length = (int)Math.Min(ReadLength, Disk.Length - Position);
            await Disk.ReadAsync(Position, buffer.Memory[..length], cancellationToken).ConfigureAwait(false);
            Interlocked.Add(ref _position, length);
        }

        cancellationToken.ThrowIfCancellationRequested();
    }

    // It holds the links down to the base as they are, which the end changes.
    private async ValueTask RemoveFilterAsync(CopyOnReadNode filter)
    {
        using (GraphChange change = await GraphChange.BeginAsync(_image, CancellationToken.None).ConfigureAwait(false))
        {
            await FilterInsertion.RemoveAsync(filter).ConfigureAwait(false);
            _filter = null;
        }

        await filter.DisposeAsync().ConfigureAwait(false);
    }
}
