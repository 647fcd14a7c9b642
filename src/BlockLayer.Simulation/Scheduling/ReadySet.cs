using BlockLayer.Primitives;

namespace BlockLayer.Simulation;

/// <summary>The steps that could run now, and the rule by which one is taken.</summary>
internal abstract class ReadySet
{
    /// <summary>How many steps could run.</summary>
    internal abstract int Count { get; }

    /// <summary>Adds a step. <paramref name="id"/> tells it from all others of the run.</summary>
    internal abstract void Add(ReadyItem item, long id);

    /// <summary>Takes one; there is at least one.</summary>
    internal abstract Entry Take();

    /// <summary>The set for an order.</summary>
    internal static ReadySet Create(SimulationOrder order, SeededRandom random) => order switch
    {
        SimulationOrder.Random => new AnyOf(random),
        SimulationOrder.FirstInFirstOut => new Oldest(),
        SimulationOrder.LastInFirstOut => new Newest(),
        SimulationOrder.Stragglers => new OldestWithStragglers(random),
        _ => throw new ArgumentOutOfRangeException(nameof(order), order, "No such order."),
    };

    /// <summary>A step and its number.</summary>
    internal readonly record struct Entry(ReadyItem Item, long Id);

    private sealed class AnyOf(SeededRandom random) : ReadySet
    {
        private Entry[] _entries = new Entry[64];
        private int _count;

        internal override int Count => _count;

        internal override void Add(ReadyItem item, long id)
        {
            if (_count == _entries.Length)
            {
                Array.Resize(ref _entries, _count * 2);
            }

            _entries[_count++] = new Entry(item, id);
        }

        internal override Entry Take()
        {
            int index = _count == 1 ? 0 : random.Next(_count);
            Entry taken = _entries[index];
            _entries[index] = _entries[--_count];
            _entries[_count] = default;
            return taken;
        }
    }

    private sealed class Oldest : ReadySet
    {
        private readonly Queue<Entry> _entries = new();

        internal override int Count => _entries.Count;

        internal override void Add(ReadyItem item, long id) => _entries.Enqueue(new Entry(item, id));

        internal override Entry Take() => _entries.Dequeue();
    }

    private sealed class Newest : ReadySet
    {
        private readonly Stack<Entry> _entries = new();

        internal override int Count => _entries.Count;

        internal override void Add(ReadyItem item, long id) => _entries.Push(new Entry(item, id));

        internal override Entry Take() => _entries.Pop();
    }

    private sealed class OldestWithStragglers(SeededRandom random) : ReadySet
    {
        private const double HoldBack = 1.0 / 8;
        private const double LetGo = 1.0 / 256; // a straggler is overtaken by a few hundred others unless the rest runs dry

        private readonly Queue<Entry> _entries = new();
        private readonly Queue<Entry> _stragglers = new();

        internal override int Count => _entries.Count + _stragglers.Count;

        internal override void Add(ReadyItem item, long id)
            => (random.Chance(HoldBack) ? _stragglers : _entries).Enqueue(new Entry(item, id));

        internal override Entry Take()
        {
            bool straggler = _entries.Count == 0 || (_stragglers.Count > 0 && random.Chance(LetGo));
            return (straggler ? _stragglers : _entries).Dequeue();
        }
    }
}
