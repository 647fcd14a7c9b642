using System.Globalization;
using System.Runtime.InteropServices;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;
using BlockLayer.TestKit;
using Xunit;
using static BlockLayer.Tests.Images.Hostile.Qcow2Bytes;

namespace BlockLayer.Tests.Images.Hostile;

/// <summary>What lines 7 and 8 of the corpus of qcow2 say about names that only a file system can answer: links, pipes, devices, descriptors.</summary>
public sealed partial class Qcow2LinkCorpusTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly WatchedFiles _files = new(LocalStorageProvider.Instance);
    private readonly BlockEnvironment _environment;

    public Qcow2LinkCorpusTests()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "links, pipes and devices are those of Linux");
        _environment = BlockEnvironment.Default with { Files = _files };
        Directory.CreateDirectory(_folder.File("d"));
        File.WriteAllBytes(_folder.File("secret"), Sound);
    }

    private string Image => _folder.File("d/image");

    private string Base => _folder.File("d/base");

    public void Dispose()
    {
        Assert.Equal(0, _files.Open);
        _folder.Dispose();
    }

    [Theory]
    [CorpusCase("2.7 symlink out of the folder")]
    [CorpusCase("2.8 symlink out of the folder")]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_symlink_out_of_the_folder_is_denied(bool isDataFile)
    {
        File.CreateSymbolicLink(Base, "../secret");
        await AssertRefusedAsync(BlockErrorKind.Denied, Naming("base", isDataFile));
    }

    [Theory]
    [CorpusCase("2.7 device that is there")]
    [CorpusCase("2.8 device that is there")]
    [InlineData("/dev/null", true)]
    [InlineData("/dev/null", false)]
    [InlineData("/dev/zero", false)]
    public async Task A_device_is_denied_even_where_its_directory_is_allowed(string device, bool isDataFile)
        => await AssertRefusedAsync(BlockErrorKind.Denied, Naming(device, isDataFile), "/dev");

    [Theory]
    [CorpusCase("2.7 FIFO")]
    [CorpusCase("2.8 FIFO")]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_pipe_is_denied_and_not_waited_for(bool isDataFile)
    {
        Assert.Equal(0, MakeFifo(Base, 0b110_110_110));
        await AssertRefusedAsync(BlockErrorKind.Denied, Naming("base", isDataFile));
    }

    [Theory]
    [CorpusCase("2.7 /proc/self/fd/N")]
    [CorpusCase("2.8 /proc/self/fd/N")]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_open_descriptor_is_denied_even_where_its_directory_is_allowed(bool isDataFile)
    {
        using FileStream secret = File.OpenRead(_folder.File("secret"));
        string name = string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{secret.SafeFileHandle.DangerousGetHandle()}");
        await AssertRefusedAsync(BlockErrorKind.Denied, Naming(name, isDataFile), "/proc/self/fd");
    }

    [Theory]
    [CorpusCase("2.7 own name by a link")]
    [CorpusCase("2.8 own name by a link")]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public async Task A_link_to_the_image_is_the_image(bool isSymbolic, bool isDataFile)
    {
        File.WriteAllBytes(Image, []);
        MakeLink(Base, isSymbolic);
        await AssertRefusedAsync(BlockErrorKind.InvalidFormat, Naming("base", isDataFile));
    }

    [Theory]
    [CorpusCase("2.7 own name by a detour")]
    [CorpusCase("2.8 own name by a detour")]
    [InlineData("./image", true)]
    [InlineData("./image", false)]
    [InlineData("../d/image", true)]
    [InlineData("../d/image", false)]
    public async Task A_detour_to_the_image_is_the_image(string name, bool isDataFile)
        => await AssertRefusedAsync(BlockErrorKind.InvalidFormat, Naming(name, isDataFile));

    [Theory]
    [CorpusCase("2.7 A->B->A through a link")]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_loop_through_a_link_is_found(bool isSymbolic)
    {
        File.WriteAllBytes(Image, []);
        File.WriteAllBytes(_folder.File("d/b"), Sound.WithBacking("a", "qcow2"));
        MakeLink(_folder.File("d/a"), isSymbolic);
        await AssertRefusedAsync(BlockErrorKind.InvalidFormat, Sound.WithBacking("b", "qcow2"), opened: ["b"]);
    }

    [Fact]
    [CorpusCase("2.7 symlink that leads to itself")]
    public async Task A_link_to_itself_is_an_error_of_ours()
    {
        File.CreateSymbolicLink(Base, "base");
        File.WriteAllBytes(Image, Sound.WithBacking("base", "raw"));
        await Assert.ThrowsAnyAsync<BlockLayerException>(OpenAsync);
        Assert.Equal([Image], _files.Opened);
    }

    private static byte[] Naming(string name, bool isDataFile) => isDataFile ? Sound.WithDataFile(name) : Sound.WithBacking(name, "raw");

    /// <summary>The inspection tells the name and opens nothing; the open is refused, and opens what is expected alone.</summary>
    private async Task AssertRefusedAsync(BlockErrorKind kind, byte[] image, string? allowedRoot = null, string[]? opened = null)
    {
        File.WriteAllBytes(Image, image);
        ImageInspection inspection = await ImageInspector.InspectAsync(Image, new InspectOptions { Format = "qcow2", Environment = _environment }, TestContext.Current.CancellationToken);
        Assert.Equal(InspectionVerdict.ReferencesOtherFiles, inspection.Verdict);
        Assert.Equal([Image], _files.Opened);
        _files.Opened.Clear();

        BlockLayerException refused = await Assert.ThrowsAnyAsync<BlockLayerException>(() => OpenAsync(allowedRoot is null ? [] : [allowedRoot]));
        Assert.Equal(kind, refused.Kind);
        Assert.Equal([Image, .. (opened ?? []).Select(name => _folder.File($"d/{name}"))], _files.Opened);
    }

    private Task OpenAsync() => OpenAsync([]);

    private async Task OpenAsync(string[] allowedRoots)
    {
        var opener = new ImageOpener(BuiltInFormats.All, _environment);
        var options = new ImageOpenOptions { Format = "qcow2", Policy = OpenPolicy.Default with { AllowedRoots = allowedRoots } };
        await using BlockNode node = await opener.OpenAsync(Image, options);
    }

    private void MakeLink(string path, bool isSymbolic)
    {
        if (isSymbolic)
        {
            File.CreateSymbolicLink(path, "image");
        }
        else
        {
            Assert.Equal(0, Link(Image, path));
        }
    }

    [LibraryImport("libc", EntryPoint = "link", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Link(string path, string newPath);

    [LibraryImport("libc", EntryPoint = "mkfifo", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MakeFifo(string path, uint mode);
}
