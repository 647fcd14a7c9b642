using System.Collections.Immutable;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Primitives;
using BlockLayer.TestKit;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2;

/// <summary>Random operations on an image of random geometry leave what they leave on a byte array, and tables that agree with each other.</summary>
public sealed class Qcow2ModelTests
{
    private const int MaxLength = 300_000;

    private static readonly Gen<DiskOperation> s_operation = Gen.Frequency(
        (8, Operation(DiskOperationKind.Write, 40_000)),
        (2, Operation(DiskOperationKind.WriteCompressed, 40_000)),
        (2, Operation(DiskOperationKind.WriteZeroes, 60_000)),
        (2, Operation(DiskOperationKind.WriteZeroesUnmap, 60_000)),
        (2, Operation(DiskOperationKind.Discard, 60_000)),
        (2, Operation(DiskOperationKind.Populate, 60_000)),
        (1, Operation(DiskOperationKind.PopulateZeroes, 60_000)),
        (2, Operation(DiskOperationKind.Flush, 1)),
        (1, Operation(DiskOperationKind.Grow, 50_000)),
        (1, Operation(DiskOperationKind.Shrink, 50_000)),
        (1, Operation(DiskOperationKind.Reopen, 1)),
        (2, Operation(DiskOperationKind.Compare, 1)));

    [Theory]
    [InlineData(3, 512, 16, 0)]
    [InlineData(3, 512, 64, 250_001)]
    [InlineData(3, 1024, 1, 130_000)]
    [InlineData(3, 1024, 2, 0)]
    [InlineData(3, 2048, 4, 250_001)]
    [InlineData(3, 4096, 8, 400_000)]
    [InlineData(3, 8192, 32, 130_000)]
    [InlineData(3, 65536, 16, 130_000)]
    [InlineData(2, 512, 16, 0)]
    [InlineData(2, 2048, 16, 130_000)]
    [InlineData(2, 65536, 16, 400_000)]
    public void Random_operations_match_a_byte_array(int version, int clusterSize, int refcountBits, int backingLength)
        => Check(new Qcow2CreateOptions { Length = 200_000, Version = version, ClusterSize = clusterSize, RefcountBits = refcountBits }, backingLength);

    // Subclusters of 512 bytes, 2 KiB, 4 KiB: most operations touch a few of a cluster, and some touch several clusters.
    [Theory]
    [InlineData(16 << 10, 16, 0)]
    [InlineData(16 << 10, 1, 130_000)]
    [InlineData(16 << 10, 64, 400_000)]
    [InlineData(64 << 10, 16, 250_001)]
    [InlineData(128 << 10, 16, 130_000)]
    public void Random_operations_on_subclusters_match_a_byte_array(int clusterSize, int refcountBits, int backingLength)
        => Check(new Qcow2CreateOptions { Length = 200_000, ClusterSize = clusterSize, RefcountBits = refcountBits, ExtendedL2 = true }, backingLength);

    [Theory]
    [InlineData(4096, false, 0)]
    [InlineData(16 << 10, true, 130_000)]
    [InlineData(64 << 10, true, 0)]
    public void Random_operations_on_a_preallocated_disk_match_a_byte_array(int clusterSize, bool extended, int backingLength)
        => Check(new Qcow2CreateOptions { Length = 200_000, ClusterSize = clusterSize, ExtendedL2 = extended, Preallocation = Preallocation.Metadata }, backingLength);

    [Theory]
    [InlineData(512, false, 0)]
    [InlineData(4096, false, 130_048)]
    [InlineData(16384, true, 130_048)]
    [InlineData(65536, false, 400_384)]
    public void Random_operations_on_an_encrypted_disk_match_a_byte_array(int clusterSize, bool extendedL2, int backingLength)
        => Check(
            new Qcow2CreateOptions
            {
                Length = 200_192,
                ClusterSize = clusterSize,
                ExtendedL2 = extendedL2,
                Encryption = new LuksCreateOptions { Iterations = 1000, KeyBits = 128 },
                Passphrase = Passphrase.FromText("secret"),
            },
            backingLength);

    [Theory]
    [InlineData(DataFileLayout.Clusters, 512, false, 0)]
    [InlineData(DataFileLayout.Clusters, 4096, false, 130_000)]
    [InlineData(DataFileLayout.Clusters, 16384, true, 130_000)]
    [InlineData(DataFileLayout.Clusters, 65536, false, 400_000)]
    [InlineData(DataFileLayout.Raw, 512, false, 0)]
    [InlineData(DataFileLayout.Raw, 16384, true, 0)]
    public void Random_operations_on_a_data_file_match_a_byte_array(DataFileLayout layout, int clusterSize, bool extendedL2, int backingLength)
        => Check(
            new Qcow2CreateOptions { Length = 200_000, ClusterSize = clusterSize, ExtendedL2 = extendedL2, DataFile = "data", DataFileLayout = layout }, backingLength);

    private static void Check(Qcow2CreateOptions options, int backingLength)
    {
        Gen<ImmutableArray<DiskOperation>> sequences = s_operation.ListOf().Select(list => list.ToImmutableArray());
        Prop.ForAll(
            Arb.From(sequences, Shrink),
            operations => RunAsync(options, backingLength, operations).AsTask().GetAwaiter().GetResult())
            .Check(Config.QuickThrowOnFailure.WithMaxTest(Effort.Times(60)).WithEndSize(60));
    }

    private static Gen<DiskOperation> Operation(DiskOperationKind kind, int maxLength)
        => from offset in Gen.Choose(0, MaxLength - 1)
           from length in Gen.OneOf(Gen.Choose(1, 600), Gen.Choose(1, maxLength))
           select new DiskOperation(kind, offset, length);

    private static IEnumerable<ImmutableArray<DiskOperation>> Shrink(ImmutableArray<DiskOperation> operations)
    {
        for (int chunk = operations.Length; chunk >= 1; chunk /= 2)
        {
            for (int at = 0; at < operations.Length; at += chunk)
            {
                yield return operations.RemoveRange(at, Math.Min(chunk, operations.Length - at));
            }
        }
    }

    private static async ValueTask RunAsync(Qcow2CreateOptions options, int backingLength, ImmutableArray<DiskOperation> operations)
    {
        var run = new Run(options, backingLength);
        await run.StartAsync();
        foreach (DiskOperation operation in operations)
        {
            await run.DoAsync(operation);
        }

        await run.FinishAsync();
    }

    /// <summary>An image beside its model.</summary>
    private sealed class Run(Qcow2CreateOptions options, int backingLength)
    {
        private readonly TestWorld _world = new() { Passphrase = options.Passphrase };
        private readonly byte[] _backing = Pattern.Of(0, backingLength, writer: 999);
        private byte[] _model = new byte[options.Length];
        private BlockNode _node = null!; // set by StartAsync
        private int _writer;

        internal async ValueTask StartAsync()
        {
            BackingReference? reference = backingLength == 0 ? null : new BackingReference("base", "raw");
            await _world.CreateAsync("disk", options with { Backing = reference });
            _backing.AsSpan(0, Math.Min(_backing.Length, _model.Length)).CopyTo(_model);
            await OpenAsync();
        }

        internal async ValueTask DoAsync(DiskOperation operation)
        {
            int offset = operation.Offset % _model.Length;
            int length = Math.Min(operation.Length, _model.Length - offset);
            switch (operation.Kind)
            {
                case DiskOperationKind.Write:
                    Pattern.Fill(_model.AsSpan(offset, length), offset, ++_writer);
                    await _node.WriteAsync(offset, _model.AsMemory(offset, length));
                    break;
                case DiskOperationKind.WriteCompressed:
                    (offset, length) = WholeUnits(offset, length, options.ClusterSize);
                    FillCompressible(_model.AsSpan(offset, length), ++_writer);
                    await _node.WriteAsync(offset, _model.AsMemory(offset, length), _node.Limits.SupportsCompressedWrites ? WriteFlags.Compressed : WriteFlags.None);
                    break;
                case DiskOperationKind.WriteZeroes:
                    _model.AsSpan(offset, length).Clear();
                    await _node.WriteZeroesAsync(offset, length);
                    break;
                case DiskOperationKind.WriteZeroesUnmap:
                    _model.AsSpan(offset, length).Clear();
                    await _node.WriteZeroesAsync(offset, length, ZeroFlags.MayUnmap);
                    break;
                case DiskOperationKind.Discard:
                    await _node.DiscardAsync(offset, length);
                    await AdoptDiscardAsync(offset, length);
                    break;
                case DiskOperationKind.Populate:
                    await PopulateAsync(offset, length);
                    break;
                case DiskOperationKind.PopulateZeroes:
                    await PopulateZeroesAsync(offset, length);
                    break;
                case DiskOperationKind.Flush:
                    await _node.FlushAsync();
                    break;
                case DiskOperationKind.Grow:
                    Array.Resize(ref _model, WholeSectors(_model.Length + operation.Length));
                    await _node.ResizeAsync(_model.Length);
                    break;
                case DiskOperationKind.Shrink:
                    Array.Resize(ref _model, WholeSectors(Math.Max(1, _model.Length - operation.Length)));
                    await _node.ResizeAsync(_model.Length, new ResizeOptions { AllowShrink = true });
                    break;
                case DiskOperationKind.Reopen:
                    await _node.DisposeAsync();
                    await OpenAsync();
                    break;
                default:
                    await CompareAsync();
                    break;
            }
        }

        internal async ValueTask FinishAsync()
        {
            await CompareAsync();
            await _node.DisposeAsync();
            await OpenAsync();
            await CompareAsync();
            ImageCheckReport report = await ImageChecker.CheckAsync(_node);
            Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
            await _node.DisposeAsync();
            if (options.DataFileLayout == DataFileLayout.Raw)
            {
                await using StorageNode data = await _world.OpenFileAsync(options.DataFile!);
                byte[] raw = new byte[data.Length];
                await data.ReadAsync(0, raw);
                Assert.True(raw.AsSpan().SequenceEqual(_model), "the data file is not the disk");
            }
        }

        private async ValueTask OpenAsync()
        {
            _node = await _world.OpenAsync("disk");
            if (backingLength > 0)
            {
                _node.AttachBacking(await _world.CreateRawAsync("base", _backing));
            }
        }

        // A copy stores what a reader sees already, so the guest must not be able to tell.
        private async ValueTask PopulateAsync(int offset, int length)
        {
            (int first, int count) = WholeUnits(offset, length, _node.Limits.SubclusterSize);
            byte[] below = new byte[count];
            int present = Math.Clamp(_backing.Length - first, 0, count);
            _backing.AsSpan(Math.Min(first, _backing.Length), present).CopyTo(below);
            await _node.PopulateAsync(first, below);
        }

        private async ValueTask PopulateZeroesAsync(int offset, int length)
        {
            (int first, int count) = WholeUnits(offset, length, _node.Limits.SubclusterSize);
            if (first >= _backing.Length)
            {
                await _node.PopulateZeroesAsync(first, count);
            }
        }

        private (int First, int Count) WholeUnits(int offset, int length, int unit)
        {
            int first = (int)Alignment.RoundDown(offset, unit);
            return (first, (int)Math.Min(Alignment.RoundUp(offset + length, unit), _model.Length) - first);
        }

        private int WholeSectors(int length) => options.Encryption is null ? length : (int)Alignment.RoundUp(length, 512);

        private static void FillCompressible(Span<byte> buffer, int writer)
        {
            buffer.Fill((byte)writer);
            for (int i = 0; i < buffer.Length; i += 97)
            {
                buffer[i] = (byte)(i / 97);
            }
        }

        private async ValueTask AdoptDiscardAsync(int offset, int length)
        {
            byte[] found = new byte[length];
            await _node.ReadAsync(offset, found);
            for (int i = 0; i < length; i++)
            {
                Assert.True(found[i] == 0 || found[i] == _model[offset + i], $"byte {offset + i} is neither old nor zero after a discard");
            }

            found.CopyTo(_model, offset);
        }

        private async ValueTask CompareAsync()
        {
            byte[] found = new byte[_model.Length];
            await _node.ReadAsync(0, found);
            int difference = found.AsSpan().CommonPrefixLength(_model);
            Assert.True(difference == _model.Length, $"differs from the model at byte {difference}");
        }
    }
}
