using BlockLayer.Errors;
using BlockLayer.Filters;
using BlockLayer.Graph;
using BlockLayer.Primitives;
using BlockLayer.Requests;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Simulation.Tests.Interleavings;

/// <summary>
/// One seeded run: guests read, write, zero, discard and flush an image under a copy-on-read filter while a copier fills it from its chain. Every read
/// is checked against what the disk may hold, and the end against everything that was acknowledged.
/// </summary>
internal sealed class CopyWorld
{
    private const int GuestCount = 4;
    private const int RequestsPerGuest = 12;

    private readonly SimulationScheduler _scheduler;
    private readonly SeededRandom _random;
    private readonly BlockEnvironment _environment;
    private readonly ChainPlan _chain;
    private readonly CopyOnReadNode _filter;
    private readonly SectorModel _model;
    private readonly CancellationTokenSource _impatience = new();
    private readonly RandomSteps _steps;
    private readonly BlockNode? _bottom;
    private int _lastWriter = ChainPlan.FirstGuest;

    internal CopyWorld(ulong seed, CopyStrategy strategy, CopyWorldFaults faults)
    {
        _scheduler = new SimulationScheduler(seed);
        _random = _scheduler.CreateRandom(1);
        _environment = TestEnvironment.Of(_scheduler);
        _chain = new ChainPlan(_environment, _random);
        _bottom = _random.Next(2) == 0 ? _chain.MiddleNode : null;
        _model = new SectorModel(_chain.Length, _chain.WriterAt);
        _chain.TopNode.PopulatesBlindly = faults == CopyWorldFaults.BlindPopulate;
        long memory = _random.Next(3) == 0 ? 1 : 16 * 65536;
        _filter = CopyOnReadNode.Create(_chain.TopNode, _bottom, new CopyOnReadOptions { Strategy = strategy, MemoryLimit = memory });
        _steps = new RandomSteps(_scheduler, _random, faults == CopyWorldFaults.Failures);
        _chain.TopNode.Steps = _steps;
        _chain.MiddleNode.Steps = _steps;
        _chain.BaseNode.Steps = _steps;
    }

    internal void Run()
    {
        for (int guest = 0; guest < GuestCount; guest++)
        {
            _scheduler.Spawn($"guest {guest}", RunGuestAsync);
        }

        _scheduler.Spawn("copier", CopyAllAsync);
        _scheduler.Run();

        _steps.Fails = false;
        _scheduler.Run(FinishAsync);
    }

    private async Task RunGuestAsync()
    {
        for (int i = 0; i < RequestsPerGuest; i++)
        {
            await RequestAsync(NextRange());
            if (_random.Next(GuestCount * RequestsPerGuest) == 0)
            {
                _impatience.Cancel();
            }
        }
    }

    private ByteRange NextRange()
    {
        int sectors = (int)(_chain.Length / SectorStamp.Size);
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
            < 9 => ChangeAsync(range, ++_lastWriter, writer => _filter.WriteAsync(range.Offset, SectorStamp.Of(range.Offset, (int)range.Length, writer), WriteFlags.None, token)),
            9 => ChangeAsync(range, SectorStamp.Zero, _ => _filter.WriteZeroesAsync(range.Offset, range.Length, ZeroFlags.None, token)),
            10 => DiscardAsync(range, token),
            _ => IgnoringExpectedFailures(() => _filter.FlushAsync(token)),
        };
    }

    private async Task ReadAsync(ByteRange range, CancellationToken token)
    {
        byte[] found = new byte[range.Length];
        SectorModel.Read read = _model.BeginRead(range);
        if (await Succeeds(() => _filter.ReadAsync(range.Offset, found, ReadFlags.None, token)))
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
        await Succeeds(() => _filter.DiscardAsync(range.Offset, range.Length, token));
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

    private async Task CopyAllAsync()
    {
        int unit = _filter.CopyUnit;
        for (long at = 0; at < _chain.Length; at += unit)
        {
            await _filter.Guests.WaitForTurnAsync(CancellationToken.None);
            ByteRange range = new ByteRange(at, unit).ClampTo(_chain.Length);
            CopyOutcome outcome = await _filter.CopyUpAsync(Origin.Door, range, unit, CancellationToken.None);
            Assert.True(outcome.Error is null || (_steps.Fails && outcome.Error.Message == RandomSteps.Message), outcome.Error?.ToString());
        }
    }

    // Nothing fails any more and nobody interferes: what is left is copied, all is let go, and the image alone holds what the model says.
    private async Task FinishAsync()
    {
        using (await DrainScope.BeginAsync(_filter))
        {
            Assert.True(_filter.Queue.IsIdle, "claims are left behind");
            Assert.Equal(0, _filter.Queue.Memory.Reserved);
            Assert.Equal(0, _environment.Buffers.Outstanding);
        }

        await CopyAllAsync();
        List<CopyExtent> lacking = await CopyPlan.MakeAsync(_chain.TopNode, _bottom, new ByteRange(0, _chain.Length), CancellationToken.None);
        Assert.Empty(lacking);
        await CheckAsync(_filter);
        if (_bottom is null)
        {
            await _chain.TopNode.DetachAsync(_chain.TopNode.BackingEdge!);
        }
        else
        {
            BlockNode below = _chain.BaseNode;
            below.AddReference();
            await _chain.TopNode.ReplaceChild(_chain.TopNode.BackingEdge!, below).DisposeAsync();
        }

        await CheckAsync(_chain.TopNode);
    }

    private async Task CheckAsync(BlockNode node)
    {
        byte[] all = new byte[_chain.Length];
        SectorModel.Read read = _model.BeginRead(new ByteRange(0, _chain.Length));
        await node.ReadAsync(0, all);
        read.Check(all);
    }
}
