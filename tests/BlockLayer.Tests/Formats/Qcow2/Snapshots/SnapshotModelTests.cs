using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Snapshots;

/// <summary>
/// Random guests' requests between random snapshots: the disk and every snapshot hold what copies of a byte array hold, and the tables agree with each other
/// without a single lost cluster.
/// </summary>
public sealed class SnapshotModelTests
{
    private const int Length = 150_000;
    private const int Steps = 90;

    [Theory]
    [InlineData("version 3, clusters of 512 bytes", 3, 512, 16, 0, false)]
    [InlineData("version 3, counts of 4 bits, over a backing file", 3, 1024, 4, 100_001, false)]
    [InlineData("version 3, counts of 64 bits", 3, 2048, 64, 200_000, false)]
    [InlineData("version 2", 2, 512, 16, 0, false)]
    [InlineData("version 2, over a backing file", 2, 4096, 16, 100_001, false)]
    [InlineData("extended L2 entries", 3, 16 << 10, 16, 100_001, true)]
    public async Task Random_snapshots_match_copies_of_a_byte_array(string what, int version, int clusterSize, int refcountBits, int backingLength, bool extended)
    {
        var options = new Qcow2CreateOptions { Length = Length, Version = version, ClusterSize = clusterSize, RefcountBits = refcountBits, ExtendedL2 = extended };
        for (int seed = 0; seed < Effort.Times(6); seed++)
        {
            var run = new Run(options, backingLength, new Random(seed));
            try
            {
                await run.GoAsync();
            }
            catch (Exception error)
            {
                throw new InvalidOperationException($"{what}, seed {seed}, after: {run.Log}", error);
            }
        }
    }

    /// <summary>An image beside its model, and a model of each of its snapshots.</summary>
    private sealed class Run(Qcow2CreateOptions options, int backingLength, Random random)
    {
        private readonly TestWorld _world = new();
        private readonly byte[] _backing = Pattern.Of(0, backingLength, writer: 999);
        private readonly Dictionary<string, byte[]> _snapshots = []; // by id
        private readonly List<string> _log = [];
        private byte[] _model = new byte[options.Length];
        private Qcow2Node _node = null!; // set by GoAsync

        internal string Log => string.Join(", ", _log);

        internal async Task GoAsync()
        {
            await _world.CreateAsync("disk", options with { Backing = backingLength == 0 ? null : new BackingReference("base", "raw") });
            _backing.AsSpan(0, Math.Min(_backing.Length, _model.Length)).CopyTo(_model);
            _node = await OpenAsync();
            for (int step = 1; step <= Steps; step++)
            {
                await StepAsync(step);
            }

            await CheckAsync();
            await _node.DisposeAsync();
            _node = await OpenAsync();
            await CheckAsync();
            foreach (string id in _snapshots.Keys)
            {
                await _node.DeleteSnapshotAsync(id, CancellationToken.None);
            }

            _snapshots.Clear();
            await CheckAsync();
            await _node.DisposeAsync();
        }

        private async Task StepAsync(int step)
        {
            int choice = random.Next(20);
            _log.Add($"{choice}");
            int offset = random.Next(_model.Length);
            int length = Math.Min(random.Next(3) == 0 ? random.Next(1, 40_000) : random.Next(1, 1500), _model.Length - offset);
            string? id = _snapshots.Count == 0 ? null : _snapshots.Keys.ElementAt(random.Next(_snapshots.Count));
            switch (choice)
            {
                case < 8:
                    Pattern.Fill(_model.AsSpan(offset, length), offset, step);
                    await _node.WriteAsync(offset, _model.AsMemory(offset, length));
                    break;
                case 8:
                    offset -= offset % options.ClusterSize;
                    length = Math.Min(options.ClusterSize, _model.Length - offset);
                    _model.AsSpan(offset, length).Fill((byte)step);
                    await _node.WriteAsync(offset, _model.AsMemory(offset, length), WriteFlags.Compressed);
                    break;
                case 9 or 10:
                    _model.AsSpan(offset, length).Clear();
                    await _node.WriteZeroesAsync(offset, length, choice == 9 ? ZeroFlags.None : ZeroFlags.MayUnmap);
                    break;
                case 11:
                    await _node.DiscardAsync(offset, length);
                    await _node.ReadAsync(offset, _model.AsMemory(offset, length));
                    break;
                case 12 when options.Version == 3 || _snapshots.Count == 0:
                    Array.Resize(ref _model, Math.Max(1, _model.Length + random.Next(-30_000, 30_000)));
                    await _node.ResizeAsync(_model.Length, new ResizeOptions { AllowShrink = true });
                    break;
                case 13 or 14 or 15 when _snapshots.Count < 6:
                    SnapshotInfo made = await _node.CreateSnapshotAsync($"after {step}", CancellationToken.None);
                    _snapshots.Add(made.Id, [.. _model]);
                    break;
                case 16 when id is not null:
                    await _node.ApplySnapshotAsync(id, CancellationToken.None);
                    _model = [.. _snapshots[id]];
                    break;
                case 17 when id is not null:
                    await _node.DeleteSnapshotAsync(id, CancellationToken.None);
                    _snapshots.Remove(id);
                    break;
                case 18:
                    await _node.DisposeAsync();
                    _node = await OpenAsync();
                    break;
                case 19:
                    await CheckAsync();
                    break;
            }
        }

        private async Task CheckAsync()
        {
            AssertHolds("the disk", _model, await ReadAsync(_node));
            ImageCheckReport report = await _node.CheckAsync(progress: null, CancellationToken.None);
            Assert.True(report is { Corruptions: 0, Leaks: 0 }, string.Join('\n', report.Findings));
            IReadOnlyList<SnapshotInfo> list = await _node.ListSnapshotsAsync(CancellationToken.None);
            Assert.Equal(_snapshots.Keys.Order(StringComparer.Ordinal), list.Select(static snapshot => snapshot.Id).Order(StringComparer.Ordinal));
            foreach ((string id, byte[] content) in _snapshots)
            {
                await using Qcow2Node shown = await OpenAsync(id);
                AssertHolds($"snapshot {id}", content, await ReadAsync(shown));
            }
        }

        private static void AssertHolds(string what, byte[] expected, byte[] found)
        {
            Assert.Equal(expected.Length, found.Length);
            int difference = found.AsSpan().CommonPrefixLength(expected);
            Assert.True(difference == found.Length, $"{what} differs at byte {difference}");
        }

        private static async Task<byte[]> ReadAsync(BlockNode node)
        {
            byte[] found = new byte[node.Length];
            await node.ReadAsync(0, found);
            return found;
        }

        private async Task<Qcow2Node> OpenAsync(string? snapshot = null)
        {
            Qcow2Node node = snapshot is null ? await _world.OpenAsync("disk") : await _world.OpenSnapshotAsync("disk", snapshot);
            if (backingLength > 0)
            {
                node.AttachBacking(await _world.CreateRawAsync("base", _backing));
            }

            return node;
        }
    }
}
