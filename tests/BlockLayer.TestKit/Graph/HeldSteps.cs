using BlockLayer.Errors;
using BlockLayer.Primitives;

namespace BlockLayer.TestKit.Graph;

/// <summary>Steps that a test stops, counts, fails and lets go by hand. Safe from several threads.</summary>
internal sealed class HeldSteps : OverlaySteps
{
    private readonly Lock _gate = new();
    private readonly Dictionary<OverlayStep, Completion> _held = [];
    private readonly List<(OverlayStep Step, ByteRange Range)> _log = [];
    private Func<OverlayStep, ByteRange, BlockErrorKind?> _fails = static (_, _) => null;

    /// <summary>What happens between a step's place in the log and its effect; null: nothing. A test gives others their turn here.</summary>
    internal Func<OverlayStep, ValueTask>? Delay { get; set; }

    /// <summary>Every step so far, in order, held ones included.</summary>
    internal IReadOnlyList<(OverlayStep Step, ByteRange Range)> Log
    {
        get
        {
            lock (_gate)
            {
                return [.. _log];
            }
        }
    }

    /// <summary>From now on requests stop at this step.</summary>
    internal void Hold(OverlayStep step)
    {
        lock (_gate)
        {
            _held.Add(step, new Completion());
        }
    }

    /// <summary>Lets those go that stopped at this step, and does not stop others any more.</summary>
    internal void Release(OverlayStep step)
    {
        Completion? held;
        lock (_gate)
        {
            _held.Remove(step, out held);
        }

        held!.Complete();
    }

    /// <summary>Decides which steps fail from now on, and with what.</summary>
    internal void FailWhen(Func<OverlayStep, ByteRange, BlockErrorKind?> fails) => _fails = fails;

    /// <summary>Nothing fails any more.</summary>
    internal void FailNothing() => _fails = static (_, _) => null;

    internal int Count(OverlayStep step) => Log.Count(entry => entry.Step == step);

    internal override async ValueTask AtAsync(MemoryOverlayNode node, OverlayStep step, ByteRange range)
    {
        Completion? held;
        lock (_gate)
        {
            _log.Add((step, range));
            _held.TryGetValue(step, out held);
        }

        if (Delay is { } delay)
        {
            await delay(step);
        }

        if (held is not null)
        {
            await held.WaitAsync();
        }

        if (_fails(step, range) is { } kind)
        {
            throw new BlockLayerException(kind, $"Planned at {step} of {node.NodeName}.") { NodeName = node.NodeName, Offset = range.Offset };
        }
    }
}
