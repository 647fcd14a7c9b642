using System.Buffers.Binary;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>The qcow2 format, versions 2 and 3.</summary>
public sealed class Qcow2Format : ImageFormat
{
    private readonly Qcow2OpenOptions _options;

    /// <summary>A format that opens images with other options than the usual ones; for tests.</summary>
    internal Qcow2Format(Qcow2OpenOptions options) => _options = options;

    /// <summary>The format.</summary>
    public static Qcow2Format Instance { get; } = new(new Qcow2OpenOptions());

    /// <inheritdoc/>
    public override string Name => "qcow2";

    internal override bool SupportsSnapshots => true;

    internal override bool StoresBitmaps => true;

    internal override bool StoresCompressed => true;

    /// <summary>True for the magic with version 2 or later; version 1 is the format qcow.</summary>
    public override bool Probe(ReadOnlySpan<byte> head)
        => head.Length >= 8 && BinaryPrimitives.ReadUInt32BigEndian(head) == Qcow2Header.Magic && BinaryPrimitives.ReadUInt32BigEndian(head[4..]) >= 2;

    /// <inheritdoc/>
    public override ImageCreateOptions ParseCreateOptions(ImageCreateOptions basic, IReadOnlyDictionary<string, string> options)
        => Qcow2CreateOptions.Parse(basic, options);

    internal override async ValueTask<BlockNode> OpenAsync(BlockNode file, FormatOpenContext context, CancellationToken cancellationToken)
    {
        LoadedImage image = await LoadedImage.ReadAsync(file, context.Access, context.Purpose, cancellationToken).ConfigureAwait(false);
        if (context.Snapshot is { } snapshot)
        {
            image = await image.ShowSnapshotAsync(file, snapshot, cancellationToken).ConfigureAwait(false);
        }

        BlockNode? dataFile = null;
        SectorCipher? cipher = null;
        try
        {
            if (image.Header.Encryption != EncryptionMethod.None && context.Passphrase is { } passphrase)
            {
                cipher = await ImageUnlocker.UnlockAsync(file, image.Header, passphrase, cancellationToken).ConfigureAwait(false);
            }

            if (image.Header.HasFeature(IncompatibleFeatures.ExternalDataFile) && context is { DataFile: DataFileMode.Open, OpenDataFile: { } open })
            {
                dataFile = await open(image.Header.RequireDataFileName(), cancellationToken).ConfigureAwait(false);
            }

            return new Qcow2Node(file, dataFile, cipher, context, image, _options);
        }
        catch
        {
            cipher?.Dispose();
            await (dataFile?.DisposeAsync() ?? ValueTask.CompletedTask).ConfigureAwait(false);
            throw;
        }
    }

    internal override ValueTask InspectAsync(InspectionReader file, InspectionFindings findings, CancellationToken cancellationToken)
        => new Qcow2Inspector(file, findings).RunAsync(cancellationToken);

    internal override ValueTask ThrowIfCannotCreateAsync(string path, ImageCreateOptions options, BlockEnvironment environment, CancellationToken cancellationToken)
    {
        Qcow2CreateOptions own = Judged(options);
        byte[]? luksHeader = own.Encryption is null ? null : new byte[1]; // qcow2's header has room for where it is, however long it is
        _ = new Qcow2Creator(own, luksHeader);
        return ValueTask.CompletedTask;
    }

    internal override async ValueTask CreateAsync(BlockNode file, ImageCreateOptions options, CancellationToken cancellationToken)
    {
        Qcow2CreateOptions own = Judged(options);
        byte[]? luksHeader = own.Encryption is { } encryption
            ? await NewLuksHeader.CreateAsync(encryption, own.Passphrase!, file.Environment.Work).ConfigureAwait(false)
            : null;
        await new Qcow2Creator(own, luksHeader).WriteAsync(file, cancellationToken).ConfigureAwait(false);
        if (own.Preallocation != Preallocation.Off || own.DataFileLayout == DataFileLayout.Raw)
        {
            await PreallocateAsync(file, own, cancellationToken).ConfigureAwait(false);
        }
    }

    internal override NewDataFile? DataFileOf(ImageCreateOptions options)
        => options is Qcow2CreateOptions { DataFile: { } name } own ? new NewDataFile(name, own.Preallocation) : null;

    private static Qcow2CreateOptions Judged(ImageCreateOptions options)
    {
        Qcow2CreateOptions own = options as Qcow2CreateOptions ?? new Qcow2CreateOptions(options);
        own.ThrowIfContradictory();
        return own;
    }

    private async ValueTask PreallocateAsync(BlockNode file, Qcow2CreateOptions options, CancellationToken cancellationToken)
    {
        var context = new FormatOpenContext { NodeName = file.NodeName, Access = NodeAccess.ReadWrite };
        file.AddReference(); // the node lets its file go when it is closed; the caller's stays open
        BlockNode node;
        try
        {
            node = await OpenAsync(file, context, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await file.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        await using (node.ConfigureAwait(false))
        {
            var image = (Qcow2Node)node;
            if (options.DataFileLayout == DataFileLayout.Raw)
            {
                await image.BecomeRawAsync(options.Preallocation, cancellationToken).ConfigureAwait(false);
            }
            else
            {
                await image.PreallocateAsync(0, options.Length, options.Preallocation, cancellationToken).ConfigureAwait(false);
            }

            await node.FlushAsync(cancellationToken).ConfigureAwait(false);
        }
    }
}
