using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.TestKit;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>Guests that read, write, zero, discard and flush one disk at the same time, and check every answer against a model of it.</summary>
internal sealed class GuestCrowd
{
    private const int GuestCount = 4;

    private readonly SimulationScheduler _scheduler;
    private readonly SeededRandom _random;
    private readonly BlockNode _disk;
    private readonly SectorModel _model;
    private readonly RandomSteps _steps;
    private readonly int _requestsPerGuest;
    private readonly CancellationTokenSource _impatience = new();
    private int _lastWriter = ChainPlan.FirstGuest;

    internal GuestCrowd(SimulationScheduler scheduler, SeededRandom random, BlockNode disk, SectorModel model, RandomSteps steps, int requestsPerGuest)
    {
        _scheduler = scheduler;
        _random = random;
        _disk = disk;
        _model = model;
        _steps = steps;
        _requestsPerGuest = requestsPerGuest;
    }

    /// <summary>Adds the guests to the run.</summary>
    internal void Spawn()
    {
        for (int guest = 0; guest < GuestCount; guest++)
        {
            _scheduler.Spawn($"guest {guest}", RunGuestAsync);
        }
    }

    /// <summary>Reads all of a node and checks it.</summary>
    internal async Task CheckAsync(BlockNode node)
    {
        byte[] all = new byte[node.Length];
        SectorModel.Read read = _model.BeginRead(new ByteRange(0, node.Length));
        await node.ReadAsync(0, all);
        read.Check(all);
    }

    /// <summary>Checks what all of the disk holds at a moment when it is drained.</summary>
    internal void Check(ReadOnlySpan<byte> all) => _model.BeginRead(new ByteRange(0, all.Length)).Check(all);

    private async Task RunGuestAsync()
    {
        for (int i = 0; i < _requestsPerGuest; i++)
        {
            await RequestAsync(NextRange());
            if (_random.Next(GuestCount * _requestsPerGuest) == 0)
            {
                _impatience.Cancel();
            }
        }
    }

    private ByteRange NextRange()
    {
        int sectors = (int)(_disk.Length / SectorStamp.Size);
        int most = _random.Next(4) == 0 ? 512 : 64;
        int first = _random.Next(sectors);
        int count = 1 + _random.Next(Math.Min(most, sectors - first));
        return new ByteRange(first * (long)SectorStamp.Size, count * (long)SectorStamp.Size);
    }

    private Task RequestAsync(ByteRange range)
    {
        CancellationToken token = _random.Next(8) == 0 ? _impatience.Token : CancellationToken.None;
        return _random.Next(12) switch
        {
            < 5 => ReadAsync(range, token),
            < 9 => ChangeAsync(range, ++_lastWriter, writer => _disk.WriteAsync(range.Offset, SectorStamp.Of(range.Offset, (int)range.Length, writer), WriteFlags.None, token)),
            9 => ChangeAsync(range, SectorStamp.Zero, _ => _disk.WriteZeroesAsync(range.Offset, range.Length, ZeroFlags.None, token)),
            10 => DiscardAsync(range, token),
            _ => IgnoringExpectedFailures(() => _disk.FlushAsync(token)),
        };
    }

    private async Task ReadAsync(ByteRange range, CancellationToken token)
    {
        byte[] found = new byte[range.Length];
        SectorModel.Read read = _model.BeginRead(range);
        if (await Succeeds(() => _disk.ReadAsync(range.Offset, found, ReadFlags.None, token)))
        {
            read.Check(found);
        }
        else
        {
            read.Abandon();
        }
    }

    private async Task ChangeAsync(ByteRange range, int writer, Func<int, ValueTask> write)
    {
        SectorModel.Change change = _model.Begin(range, writer);
        if (await Succeeds(() => write(writer)))
        {
            _model.Succeed(change);
        }
        else
        {
            _model.Fail(change);
        }
    }

    private async Task DiscardAsync(ByteRange range, CancellationToken token)
    {
        SectorModel.Change change = _model.Begin(range, SectorStamp.Zero);
        await Succeeds(() => _disk.DiscardAsync(range.Offset, range.Length, token));
        _model.Fail(change); // as before or zeroes
    }

    private async Task IgnoringExpectedFailures(Func<ValueTask> request) => await Succeeds(request);

    private async Task<bool> Succeeds(Func<ValueTask> request)
    {
        try
        {
            await request();
            return true;
        }
        catch (OperationCanceledException) when (_impatience.IsCancellationRequested)
        {
            return false;
        }
        catch (BlockLayerException error) when (_steps.Fails && error.Message == RandomSteps.Message)
        {
            return false;
        }
    }
}
