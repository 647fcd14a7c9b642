namespace BlockLayer.Formats.Qcow2;

/// <summary>What a repair did, in sentences: the first of them, and how often anything was changed.</summary>
internal sealed class RepairLog
{
    /// <summary>A damaged image can need millions of changes; nobody reads more than these.</summary>
    private const int MaxSentences = 1000;

    private readonly List<string> _sentences = [];

    /// <summary>The sentences kept.</summary>
    public IReadOnlyList<string> Sentences => _sentences;

    /// <summary>Changes that were noted.</summary>
    public long Count { get; private set; }

    /// <summary>Notes a change. True when its sentence is wanted: then <see cref="Say"/>.</summary>
    public bool Note()
    {
        Count++;
        return _sentences.Count < MaxSentences;
    }

    /// <summary>Keeps the sentence of a change that was noted.</summary>
    public void Say(string sentence) => _sentences.Add(sentence);

    /// <summary>Notes a change that happens once.</summary>
    public void Add(string sentence)
    {
        if (Note())
        {
            Say(sentence);
        }
    }
}
