using System.Text;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.TestKit.Graph;

/// <summary>
/// The smallest format with a backing file, for tests of the opener. A file says <c>LINK</c>, the name of its backing file and that file's format, one a
/// line; a format of <c>?</c> is decided by magic, an empty one is not recorded. A file that says <c>LINK</c> and <c>!</c> is damaged.
/// </summary>
internal sealed class LinkFormat : ImageFormat
{
    internal const int DiskLength = 4096;

    public override string Name => "link";

    public override bool Probe(ReadOnlySpan<byte> head) => head.StartsWith("LINK\n"u8);

    public override ImageCreateOptions ParseCreateOptions(ImageCreateOptions basic, IReadOnlyDictionary<string, string> options) => basic;

    /// <summary>Writes an image; without a backing file it is the end of a chain.</summary>
    internal static async Task WriteAsync(StorageProvider files, string path, string? backing = null, string format = "link")
    {
        var options = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate };
        await using BlockStorage file = await files.OpenAsync(path, options, default);
        await file.WriteAsync(0, Encoding.UTF8.GetBytes(backing is null ? "LINK\n" : $"LINK\n{backing}\n{format}"), default);
    }

    internal override async ValueTask<BlockNode> OpenAsync(BlockNode file, FormatOpenContext context, CancellationToken cancellationToken)
    {
        byte[] content = new byte[file.Length];
        await file.ReadAsync(0, content, ReadFlags.None, cancellationToken);
        string[] lines = Encoding.UTF8.GetString(content).Split('\n');
        if (lines[0] != "LINK" || lines[1] == "!")
        {
            throw ImageFormatException.Invalid("link", at: 0, "damaged", "whole");
        }

        return new Node(file, context, lines is [_, { Length: > 0 } name, string format]
            ? new BackingReference(name, format is "" or "?" ? null : format) { DecidedByMagic = format == "?" }
            : null);
    }

    internal override ValueTask CreateAsync(BlockNode file, ImageCreateOptions options, CancellationToken cancellationToken)
        => file.WriteAsync(0, "LINK\n"u8.ToArray(), WriteFlags.Fua, cancellationToken);

    private sealed class Node : BlockNode
    {
        private readonly BlockEdge _file;

        internal Node(BlockNode file, FormatOpenContext context, BackingReference? reference)
            : base(context.NodeName, file.Environment, context.Access)
        {
            ImagePermissions needs = context.Access == NodeAccess.ReadWrite ? ImagePermissions.ConsistentRead | ImagePermissions.Write : ImagePermissions.ConsistentRead;
            _file = Attach(file, EdgeRole.Metadata, needs, ImagePermissions.ConsistentRead);
            BackingReference = reference;
            SetLength(DiskLength);
        }

        public override string DriverName => "link";

        public override string? Path => _file.Child.Path;

        public override BackingReference? BackingReference { get; }

        private protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, ReadFlags flags, CancellationToken cancellationToken)
        {
            buffer.Span.Clear();
            return BackingEdge?.ReadPaddedAsync(offset, buffer, cancellationToken) ?? ValueTask.CompletedTask;
        }

        private protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
            => throw new NotSupportedException("A link holds no data.");

        private protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken) => _file.FlushAsync(cancellationToken);

        private protected override ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, CancellationToken cancellationToken)
            => new(BlockStatus.Unallocated(length));
    }
}
