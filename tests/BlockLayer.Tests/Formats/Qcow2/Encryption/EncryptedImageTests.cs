using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Encryption;

/// <summary>Encrypted images through the doors that users have: what needs the passphrase, what does not, and who never sees it.</summary>
public sealed class EncryptedImageTests : IDisposable
{
    private const int Length = 1 << 20;
    private const string Secret = "correct horse battery staple";

    private readonly MemoryStorageProvider _files = new();
    private readonly BlockEnvironment _environment;
    private readonly Passphrase _passphrase = Passphrase.FromText(Secret);

    public EncryptedImageTests() => _environment = TestEnvironment.Inline() with { Files = _files };

    public void Dispose()
    {
        _passphrase.Dispose();
        Assert.Equal(0, _environment.Buffers.Outstanding);
    }

    [Fact]
    public async Task The_file_holds_no_byte_pattern_of_the_guest_and_nothing_of_the_passphrase()
    {
        await CreateAsync("disk");
        byte[] content = Pattern.Of(0, 200_192, writer: 1);
        await using (BlockNode disk = await OpenAsync("disk", NodeAccess.ReadWrite))
        {
            await disk.WriteAsync(512, content);
            await disk.WriteAsync(700_001, content.AsMemory(0, 5)); // the rest of the cluster reads as zeroes, and is stored encrypted
        }

        byte[] file = await ReadFileAsync("disk");
        Assert.Equal(-1, file.AsSpan().IndexOf(content.AsSpan(1024, 16)));
        Assert.Equal(-1, file.AsSpan().IndexOf(System.Text.Encoding.UTF8.GetBytes(Secret)));
        await using BlockNode again = await OpenAsync("disk");
        byte[] found = new byte[Length];
        await again.ReadAsync(0, found);
        byte[] expected = new byte[Length];
        content.CopyTo(expected, 512);
        content.AsSpan(0, 5).CopyTo(expected.AsSpan(700_001));
        Assert.Equal(expected, found);
        ImageCheckReport report = await ImageChecker.CheckAsync(again);
        Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
    }

    [Fact]
    public async Task Without_a_passphrase_tables_are_told_and_data_is_not()
    {
        await CreateAsync("disk");
        await using (BlockNode writable = await OpenAsync("disk", NodeAccess.ReadWrite))
        {
            await writable.WriteAsync(0, new byte[70_000]);
        }

        await using BlockNode disk = await OpenAsync("disk", secrets: null);
        Assert.Equal(0, (await ImageChecker.CheckAsync(disk)).Corruptions);
        Assert.Equal(2, (await ImageMapper.MapAsync(disk).ToListAsync()).Count);
        Assert.Equal(Length, ImageInfo.Of(disk).VirtualSize);
        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await disk.ReadAsync(0, new byte[512]));
        Assert.Equal(
            (BlockErrorKind.Denied, "'disk' is encrypted (LUKS) and was opened without its passphrase, which is needed to read or write the guest's data.", "disk"),
            (refused.Kind, refused.Message, refused.Path));
    }

    [Fact]
    public async Task A_wrong_passphrase_is_denied_and_not_repeated()
    {
        await CreateAsync("disk");
        using var wrong = Passphrase.FromText("not the secret");
        BlockLayerException denied = await Assert.ThrowsAsync<BlockLayerException>(async () => await OpenAsync("disk", secrets: new ImageSecrets(wrong)));
        Assert.Equal((BlockErrorKind.Denied, "No key slot of the LUKS header opens with the passphrase that was given.", "disk"), (denied.Kind, denied.Message, denied.Path));
        Assert.DoesNotContain("not the secret", denied.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_passphrase_is_in_no_text_and_is_gone_once_disposed()
    {
        var passphrase = Passphrase.FromText(Secret);
        Assert.DoesNotContain("horse", $"{passphrase} {new NewImage { Format = "qcow2", Secrets = new ImageSecrets(passphrase) }} {new Qcow2CreateOptions { Length = 1, Passphrase = passphrase }}", StringComparison.Ordinal);
        passphrase.Dispose();
        Assert.Throws<ObjectDisposedException>(() => passphrase.Bytes.Length);
        Assert.Throws<ArgumentException>(() => Passphrase.FromText(""));
    }

    [Fact]
    public async Task Each_image_of_a_chain_has_its_own_passphrase()
    {
        using var other = Passphrase.FromText("the other one");
        await CreateAsync("base", other);
        byte[] content = Pattern.Of(0, Length, writer: 2);
        await using (BlockNode node = await OpenAsync("base", NodeAccess.ReadWrite, new ImageSecrets(other)))
        {
            await node.WriteAsync(0, content);
        }

        ImageSecrets secrets = new ImageSecrets(_passphrase).Add("./base", other);
        await CreateAsync("disk", secrets, backing: new BackingReference("base", "qcow2"));
        await using BlockNode disk = await OpenAsync("disk", NodeAccess.ReadWrite, secrets);
        await disk.WriteAsync(100_000, new byte[] { 1, 2, 3 }); // copied up, encrypted anew
        (content[100_000], content[100_001], content[100_002]) = (1, 2, 3);
        byte[] found = new byte[Length];
        await disk.ReadAsync(0, found);
        Assert.Equal(content, found);
    }

    [Theory]
    [InlineData("encrypt.cipher-alg=aes-128")]
    [InlineData("encrypt.cipher-alg=aes-192,encrypt.ivgen-alg=essiv,encrypt.hash-alg=md5")]
    [InlineData("encrypt.ivgen-hash-alg=md5,encrypt.cipher-mode=ctr,encrypt.ivgen-alg=essiv,encrypt.cipher-alg=aes-128")]
    [InlineData("encrypt.cipher-mode=ecb,encrypt.ivgen-hash-alg=sha512")]
    [InlineData("encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.hash-alg=sha1")]
    [InlineData("encrypt.ivgen-alg=plain,encrypt.hash-alg=sha512,cluster_size=512")]
    public async Task Every_cipher_that_can_be_asked_for_reads_what_it_wrote(string options)
    {
        await CreateAsync("disk", options: options);
        byte[] content = Pattern.Of(0, Length, writer: 3);
        await using (BlockNode disk = await OpenAsync("disk", NodeAccess.ReadWrite))
        {
            await disk.WriteAsync(0, content);
        }

        await using BlockNode again = await OpenAsync("disk");
        byte[] found = new byte[Length];
        await again.ReadAsync(0, found);
        Assert.Equal(content, found);
    }

    [Fact]
    public async Task Nothing_is_compressed_or_preallocated_and_lengths_are_whole_sectors()
    {
        await CreateAsync("disk");
        await using BlockNode disk = await OpenAsync("disk", NodeAccess.ReadWrite);
        Assert.Equal((512, false), (disk.Limits.RequestAlignment, disk.Limits.SupportsCompressedWrites));
        await Refused(() => disk.WriteAsync(0, new byte[65536], WriteFlags.Compressed));
        await Refused(() => disk.ResizeAsync(Length + 65536, new ResizeOptions { Preallocation = Preallocation.Metadata }));
        await Refused(() => disk.ResizeAsync(Length + 1));
        Assert.Equal(Length, disk.Length);

        static async Task Refused(Func<ValueTask> request)
            => Assert.Equal(BlockErrorKind.Unsupported, (await Assert.ThrowsAsync<BlockLayerException>(async () => await request())).Kind);
    }

    [Theory]
    [InlineData(Length / 2 + 512)]
    [InlineData(Length + 512)]
    public async Task A_resize_without_the_passphrase_is_refused_before_it_drops_anything(int length)
    {
        await CreateAsync("disk");
        byte[] content = Pattern.Of(0, Length, writer: 1);
        await using (BlockNode disk = await OpenAsync("disk", NodeAccess.ReadWrite))
        {
            await disk.WriteAsync(0, content);
        }

        await using (BlockNode locked = await OpenAsync("disk", NodeAccess.ReadWrite, secrets: null))
        {
            BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(async () => await locked.ResizeAsync(length, new ResizeOptions { AllowShrink = true }));
            Assert.Equal(BlockErrorKind.Denied, refused.Kind);
        }

        await using BlockNode again = await OpenAsync("disk");
        byte[] found = new byte[Length];
        await again.ReadAsync(0, found);
        Assert.Equal(content, found);
    }

    [Theory]
    [InlineData("encrypt.format=aes", "encrypt.format=aes (encryption=on) has no other encrypt option")] // there are iterations
    [InlineData("encrypt.format=rot13", "encrypt.format is 'rot13'; it can be luks or aes.")]
    [InlineData("encrypt.cipher-alg=aes-192,encrypt.cipher-mode=cbc", "aes-192, which goes with encrypt.cipher-mode=xts only")]
    [InlineData("encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha512", "cipher-mode of the LUKS header is \"cbc-essiv:sha512\"")]
    [InlineData("encrypt.cipher-alg=serpent-256", "encrypt.cipher-alg is 'serpent-256'; it can be aes-128 or aes-192 or aes-256.")]
    [InlineData("encrypt.format=luks,compat=0.10", "LUKS needs compat=1.1.")]
    [InlineData("encrypt.format=luks,preallocation=full", "Encryption goes neither with")]
    [InlineData("encrypt.format=luks,encrypt.iterations=10", "encrypt.iterations is 10; it can be 1000 to")]
    [InlineData("encrypt.cipher-alg=aes-192,encrypt.cipher-mode=cbc,encrypt.hash-alg=sha224", "encrypt.hash-alg is 'sha224'")]
    [InlineData("encrypt.key-secret=sec0", "Format qcow2 has no option 'encrypt.key-secret'")]
    public async Task Options_that_contradict_each_other_are_refused(string options, string why)
    {
        ArgumentException refused = await Assert.ThrowsAsync<ArgumentException>(async () => await CreateAsync("disk", options: options));
        Assert.Contains(why, refused.Message, StringComparison.Ordinal);
        Assert.Null(_files.GetInfo("disk"));
    }

    [Fact]
    public async Task An_image_is_not_created_encrypted_without_a_passphrase()
    {
        var image = new NewImage { Format = "qcow2", Length = Length, Options = new Dictionary<string, string> { ["encrypt.format"] = "luks" } };
        ArgumentException refused = await Assert.ThrowsAsync<ArgumentException>(
            async () => await new ImageCreator(BuiltInFormats.All, _environment).CreateAsync("disk", image, OpenPolicy.Default));
        Assert.Equal("An encrypted image needs a passphrase, which is not one of the options.", refused.Message);
    }

    // Add-cow notes which data it was put on. Seen by seed 44 as it then was.
    [Fact]
    public async Task An_overlay_that_reads_its_backing_file_to_know_it_again_is_created_on_an_encrypted_one()
    {
        await CreateAsync("base");
        await using (BlockNode disk = await OpenAsync("base", NodeAccess.ReadWrite))
        {
            await disk.WriteAsync(0, Pattern.Of(0, 4096, writer: 2));
        }

        var overlay = new NewImage
        {
            Format = "add-cow",
            Backing = new BackingReference("base", "qcow2"),
            Secrets = new ImageSecrets(_passphrase),
            Options = new Dictionary<string, string> { ["image_file"] = "top.raw" },
        };
        var creator = new ImageCreator(BuiltInFormats.All, _environment);
        await creator.CreateAsync("top", overlay, OpenPolicy.Default);
        await creator.CreateAsync("above", new NewImage { Format = "qcow2", Backing = new BackingReference("top", "add-cow"), Secrets = overlay.Secrets }, OpenPolicy.Default);
        var how = new ImageOpenOptions { Format = "add-cow", Secrets = new ImageSecrets(_passphrase) };
        await using BlockNode top = await new ImageOpener(BuiltInFormats.All, _environment).OpenAsync("top", how);
        byte[] found = new byte[4096];
        await top.ReadAsync(0, found);
        Assert.Equal(Pattern.Of(0, 4096, writer: 2), found);
    }

    private ValueTask CreateAsync(string path, Passphrase? passphrase = null, BackingReference? backing = null, string options = "")
        => CreateAsync(path, new ImageSecrets(passphrase ?? _passphrase), backing, options);

    private async ValueTask CreateAsync(string path, ImageSecrets secrets, BackingReference? backing, string options = "")
    {
        var image = new NewImage
        {
            Format = "qcow2",
            Length = Length,
            Backing = backing,
            Secrets = secrets,
            Options = $"encrypt.iterations=1000,{options}".Split(',', StringSplitOptions.RemoveEmptyEntries).Select(pair => pair.Split('=')).GroupBy(pair => pair[0]).ToDictionary(pair => pair.Key, pair => pair.Last()[1]),
        };
        await new ImageCreator(BuiltInFormats.All, _environment).CreateAsync(path, image, OpenPolicy.Default);
    }

    private ValueTask<BlockNode> OpenAsync(string path, NodeAccess access = NodeAccess.ReadOnly) => OpenAsync(path, access, new ImageSecrets(_passphrase));

    private ValueTask<BlockNode> OpenAsync(string path, ImageSecrets? secrets) => OpenAsync(path, NodeAccess.ReadOnly, secrets);

    private ValueTask<BlockNode> OpenAsync(string path, NodeAccess access, ImageSecrets? secrets)
        => new ImageOpener(BuiltInFormats.All, _environment).OpenAsync(path, new ImageOpenOptions { Format = "qcow2", Access = access, Secrets = secrets });

    private async ValueTask<byte[]> ReadFileAsync(string path)
    {
        await using BlockStorage file = await _files.OpenAsync(path, new StorageOpenOptions(), CancellationToken.None);
        byte[] content = new byte[file.Length];
        await file.ReadAsync(0, content, CancellationToken.None);
        return content;
    }
}
