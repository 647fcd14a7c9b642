using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Interop.Tests.Qcow2;
using BlockLayer.Primitives;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Images;

/// <summary>
/// One random script on two images that start alike: ours carries it out on one, QEMU's programs on the other. Both are opened anew for each session of it, many
/// of which begin with another length, and at the end each side reads and checks both.
/// </summary>
public sealed class SameScriptTests : IDisposable
{
    private const int Length = 2 << 20;
    private const int BaseLength = Length - 100_000; // no whole cluster of any size, nor a whole sector
    private const int Sessions = 5;
    private const int RequestsPerSession = 16;
    private const string Secret = "correct horse";

    private readonly TemporaryFolder _folder = new();
    private readonly Passphrase _passphrase = Passphrase.FromText(Secret);
    private readonly QemuTool _img = QemuTool.Require("qemu-img");
    private readonly QemuTool _io = QemuTool.Require("qemu-io");

    /// <summary>What an image has besides its options.</summary>
    [Flags]
    public enum Extras
    {
        None = 0,
        Backing = 1,
        DataFile = 2,
        Encryption = 4,
    }

    public void Dispose()
    {
        _passphrase.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [InlineData("raw", "", 512, Extras.None)]
    [InlineData("qcow2", "compat=0.10", 512, Extras.None)]
    [InlineData("qcow2", "compat=0.10", 65536, Extras.Backing)]
    [InlineData("qcow2", "refcount_bits=1", 4096, Extras.Backing)]
    [InlineData("qcow2", "extended_l2=on", 65536, Extras.Backing)]
    [InlineData("qcow2", "refcount_bits=64", 2 << 20, Extras.None)]
    [InlineData("qcow2", "data_file_raw=off", 4096, Extras.DataFile | Extras.Backing)]
    [InlineData("qcow2", "data_file_raw=on", 65536, Extras.DataFile)]
    [InlineData("qcow2", "encrypt.format=luks,encrypt.iterations=1000", 4096, Extras.Encryption | Extras.Backing)]
    [InlineData("qcow2", "encrypt.format=luks,encrypt.iterations=1000,extended_l2=on", 65536, Extras.Encryption)]
    [InlineData("qed", "", 4096, Extras.Backing)]
    [InlineData("qed", "table_size=2", 65536, Extras.None)]
    public void The_same_requests_make_the_same_disk(string format, string options, int clusterSize, Extras extras)
        => Seeds.Check("SameScriptTests.*", 2, seed => RunAsync(new Setup(format, options, clusterSize, extras), (int)seed).GetAwaiter().GetResult());

    private async Task RunAsync(Setup setup, int seed)
    {
        string ours = _folder.File($"ours-{seed}");
        string theirs = _folder.File($"theirs-{seed}");
        byte[] backing = setup.Has(Extras.Backing) ? Pattern.Of(0, BaseLength, writer: 1) : [];
        await File.WriteAllBytesAsync(_folder.File("base"), backing);
        await CreateAsync(setup, ours);
        await CreateAsync(setup, theirs);

        var random = new Random(seed);
        var known = new KnownDisk(backing, Length);
        for (int session = 0; session < Sessions; session++)
        {
            int length = session % 2 == 1 ? setup.NextLength(known.Length, random) : known.Length;
            List<DiskRequest> script = [.. Enumerable.Range(0, RequestsPerSession).Select(_ => setup.NextRequest(length, random))];
            if (length != known.Length)
            {
                _img.RunOk(["resize", "-q", .. length < known.Length ? ["--shrink"] : Array.Empty<string>(), .. Opened(setup, theirs), $"{length}"]);
            }

            List<string> commands = await DoAsync(setup, ours, length, script, known);
            string said = _io.RunOk([.. commands.SelectMany(command => new[] { "-c", command }), .. Opened(setup, theirs)]);
            Assert.DoesNotContain("failed", said, StringComparison.Ordinal);
        }

        foreach (string image in new[] { ours, theirs })
        {
            await AssertBothSeeAsync(setup, image, known);
        }
    }

    /// <summary>Does a session on our image and notes it.</summary>
    /// <returns>The same session in qemu-io's words: what it is to read depends on what is known at that point of the script.</returns>
    private async Task<List<string>> DoAsync(Setup setup, string image, int length, List<DiskRequest> script, KnownDisk known)
    {
        List<string> commands = [];
        await using Disk disk = await OpenAsync(setup, image, NodeAccess.ReadWrite);
        if (length != known.Length)
        {
            await disk.ResizeAsync(length, new ResizeOptions { AllowShrink = true });
            known.Resize(length);
        }

        foreach (DiskRequest request in script)
        {
            if (request.Kind == DiskRequestKind.Read)
            {
                byte[] found = new byte[request.Length];
                await disk.ReadAsync(request.Offset, found);
                known.AssertHolds((int)request.Offset, found, "we read in the middle");
                (byte value, int same) = known.RunAt((int)request.Offset, request.Length);
                commands.AddRange(same > 0 ? [(request with { Value = value, Length = same }).QemuIoCommand] : []);
            }
            else
            {
                await request.DoAsync(disk.Root);
                known.Note(request);
                commands.Add(request.QemuIoCommand);
            }
        }

        return commands;
    }

    private async Task AssertBothSeeAsync(Setup setup, string image, KnownDisk known)
    {
        string name = Path.GetFileName(image);
        await using (Disk disk = await OpenAsync(setup, image, NodeAccess.ReadOnly))
        {
            byte[] found = new byte[disk.Length];
            Assert.Equal(known.Length, found.Length);
            await disk.ReadAsync(0, found);
            known.AssertHolds(0, found, $"{name} as we read it");
            if (ImageChecker.CanCheck(disk.Root))
            {
                ImageCheckReport report = await ImageChecker.CheckAsync(disk.Root);
                Assert.True(report.IsClean, $"{name} as we check it: {string.Join("; ", report.Findings.Select(finding => finding.Message))}");
            }
        }

        string read = _folder.File("read");
        _img.RunOk(["convert", "-O", "raw", .. Opened(setup, image), read]);
        byte[] theyFound = await File.ReadAllBytesAsync(read);
        Assert.Equal(known.Length, theyFound.Length);
        known.AssertHolds(0, theyFound, $"{name} as QEMU reads it");
        if (setup.Format != "raw")
        {
            _img.RunOk(["check", "-q", .. Opened(setup, image)]);
        }
    }

    private async Task CreateAsync(Setup setup, string image)
    {
        List<string> options = [.. setup.Options.Split(',', StringSplitOptions.RemoveEmptyEntries)];
        options.AddRange(setup.Format == "raw" ? [] : [$"cluster_size={setup.ClusterSize}"]);
        options.AddRange(setup.Has(Extras.DataFile) ? [$"data_file={image}.data"] : []);
        if (setup.Has(Extras.Encryption))
        {
            // QEMU first measures how fast the machine is, for a second or more, and fails on a busy one; so for both sides it is made by us.
            var encrypted = new NewImage
            {
                Format = setup.Format,
                Length = Length,
                Backing = setup.Has(Extras.Backing) ? new BackingReference("base", "raw") : null,
                Options = options.Select(pair => pair.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]),
                Secrets = new ImageSecrets(_passphrase),
            };
            await new ImageCreator(BuiltInFormats.All, BlockEnvironment.Default).CreateAsync(image, encrypted, OpenPolicy.Default);
            return;
        }

        options.AddRange(setup.Has(Extras.Backing) ? ["backing_file=base", "backing_fmt=raw"] : []);
        string[] how = options.Count > 0 ? ["-o", string.Join(',', options)] : [];
        _img.RunOk(["create", "-q", "-f", setup.Format, .. how, image, $"{Length}"]);
    }

    private ValueTask<Disk> OpenAsync(Setup setup, string image, NodeAccess access)
        => Disk.OpenAsync(image, new DiskOptions { Format = setup.Format, Access = access, Secrets = new ImageSecrets(_passphrase) });

    /// <summary>The words by which QEMU's programs open an image; what they discard they do let go.</summary>
    private static string[] Opened(Setup setup, string image)
    {
        string key = setup.Has(Extras.Encryption) ? ",encrypt.key-secret=s" : "";
        return ["--object", $"secret,id=s,data={Secret}", "--image-opts", $"driver={setup.Format},file.filename={image},discard=unmap{key}"];
    }

    /// <summary>An image to run on, and the requests that both sides can carry out on it.</summary>
    private sealed record Setup(string Format, string Options, int ClusterSize, Extras Extras)
    {
        internal bool Has(Extras extra) => (Extras & extra) != 0;

        /// <summary>
        /// A length to change to: first shorter, then longer. QEMU keeps what lay past the end in the last cluster and shows it again, so a disk ends at a cluster before
        /// it grows. It cannot shrink QED, nor hide what a backing file has there when a version 2 image grows.
        /// </summary>
        internal int NextLength(int length, Random random)
        {
            bool onlyGrows = Format == "qed" || (Has(Extras.Backing) && Options.Contains("compat=0.10", StringComparison.Ordinal));
            int next = length < Length || onlyGrows ? random.Next(length, Length * 2) : random.Next(Length / 2, length);
            return (int)Alignment.RoundUp(next, ClusterSize);
        }

        /// <summary>A request somewhere on a disk of that length: half of them in whole sectors, most of them short, some over many clusters.</summary>
        internal DiskRequest NextRequest(int length, Random random)
        {
            int unit = random.Next(2) == 0 ? 512 : 1;
            int offset = random.Next(length) / unit * unit;
            int size = Math.Min(unit * random.Next(1, (random.Next(4) == 0 ? 300_000 : 12_000) / unit), length - offset);
            DiskRequestKind kind = random.Next(10) switch
            {
                0 or 1 => DiskRequestKind.WriteZeroes,
                2 => DiskRequestKind.Discard,
                3 or 4 => DiskRequestKind.Read,
                5 => DiskRequestKind.Flush,
                _ => DiskRequestKind.Write,
            };

            // A write to a part of a zero cluster of QED makes QEMU fill the other part from the backing file instead of with zeroes (7.2; the code of 11 is the
            // same). With `-o cluster_size=4096 -b base -F raw` and a base full of 0x11, this fails at the second read:
            //   qemu-io -f qed -c "write -z 4k 4k" -c "read -P 0 4k 4k" -c "write -P 0x22 6k 1k" -c "read -P 0 4k 2k" IMAGE
            // So here no zeroes are long enough to make a cluster one.
            if (kind == DiskRequestKind.WriteZeroes && Format == "qed" && Has(Extras.Backing))
            {
                size = Math.Min(size, ClusterSize - 1);
            }

            return new DiskRequest(kind, offset, size, (byte)random.Next(1, 256));
        }
    }
}
