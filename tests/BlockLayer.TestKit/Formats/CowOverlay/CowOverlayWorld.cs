using BlockLayer.Formats.CowOverlay;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;

namespace BlockLayer.TestKit.Formats.CowOverlay;

/// <summary>The three files of an overlay in memory, made and opened through the one door.</summary>
internal sealed class CowOverlayWorld
{
    internal const string Top = "/vm/top.cow";
    internal const string Image = "/vm/top.img";
    internal const string Base = "/vm/base.img";

    internal BlockEnvironment Environment { get; init; } = new()
    {
        Files = new MemoryStorageProvider(),
        Work = InlineWorkScheduler.Instance,
        Time = TimeProvider.System,
    };

    /// <summary>Makes the base, a raw file.</summary>
    internal ValueTask WriteBaseAsync(byte[] content) => WriteFileAsync(Base, content);

    /// <summary>Makes an empty overlay over the base, or without one.</summary>
    internal async ValueTask CreateAsync(long length, int clusterSize = 4096, BackingReference? backing = null)
        => await new ImageCreator(BuiltInFormats.All, Environment).CreateAsync(Top, New(length, clusterSize, backing), OpenPolicy.Default);

    /// <summary>What <see cref="CreateAsync"/> makes.</summary>
    internal static NewImage New(long length, int clusterSize, BackingReference? backing) => new()
    {
        Format = "add-cow",
        Length = length,
        Backing = backing,
        Options = new Dictionary<string, string> { ["image_file"] = "top.img", ["cluster_size"] = $"{clusterSize}" },
    };

    /// <summary>The reference to <see cref="Base"/>.</summary>
    internal static BackingReference OverBase { get; } = new("base.img", "raw");

    internal async ValueTask<CowOverlayNode> OpenAsync(
        NodeAccess access = NodeAccess.ReadWrite,
        BackingMode backing = BackingMode.Open,
        OpenPolicy? policy = null)
    {
        var options = new ImageOpenOptions { Access = access, Backing = backing, Policy = policy ?? OpenPolicy.Default };
        return (CowOverlayNode)await new ImageOpener(BuiltInFormats.All, Environment).OpenAsync(Top, options);
    }

    internal async ValueTask<byte[]> ReadDiskAsync(BackingMode backing = BackingMode.Open)
    {
        await using CowOverlayNode node = await OpenAsync(NodeAccess.ReadOnly, backing);
        byte[] content = new byte[node.Length];
        await node.ReadAsync(0, content);
        return content;
    }

    /// <summary>All of a file, or its first bytes.</summary>
    internal async ValueTask<byte[]> ReadFileAsync(string path, long most = long.MaxValue)
    {
        await using BlockStorage file = await Environment.Files.OpenAsync(path, new StorageOpenOptions(), CancellationToken.None);
        byte[] content = new byte[Math.Min(most, file.Length)];
        await file.ReadAsync(0, content, CancellationToken.None);
        return content;
    }

    /// <summary>Puts a file in place of what has the name, as a careless copy does: the same file, another content.</summary>
    internal async ValueTask WriteFileAsync(string path, byte[] content)
    {
        var options = new StorageOpenOptions { Writable = true, Mode = StorageOpenMode.CreateOrTruncate };
        await using BlockStorage file = await Environment.Files.OpenAsync(path, options, CancellationToken.None);
        await file.WriteAsync(0, content, CancellationToken.None);
    }

    /// <summary>Changes bytes of a file behind everybody's back.</summary>
    internal async ValueTask PatchAsync(string path, long offset, params byte[] bytes)
    {
        await using BlockStorage file = await Environment.Files.OpenAsync(path, new StorageOpenOptions { Writable = true }, CancellationToken.None);
        await file.WriteAsync(offset, bytes, CancellationToken.None);
    }

    /// <summary>Cuts a file or makes it longer.</summary>
    internal async ValueTask SetLengthAsync(string path, long length)
    {
        await using BlockStorage file = await Environment.Files.OpenAsync(path, new StorageOpenOptions { Writable = true }, CancellationToken.None);
        await file.SetLengthAsync(length, CancellationToken.None);
    }
}
