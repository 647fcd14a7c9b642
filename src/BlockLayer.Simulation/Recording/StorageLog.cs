namespace BlockLayer.Simulation;

/// <summary>
/// Every call of a run that changes storage or makes it durable, in order, with its data, and what the files held before. A run on real files that was
/// recorded by a <see cref="RecordingStorageProvider"/> can so be crashed in all the ways in which a simulated one can, as often as wanted.
/// </summary>
/// <remarks>Free-threaded while it is recorded. Entries are ordered as the calls began and ended; a call's end is noted before its caller learns of it.</remarks>
public sealed class StorageLog
{
    private readonly Lock _gate = new();
    private readonly List<StorageLogEntry> _entries = []; // guarded by _gate
    private readonly List<Baseline> _baselines = [];      // guarded by _gate
    private int _fileCount;                               // guarded by _gate

    /// <summary>The entries so far.</summary>
    public IReadOnlyList<StorageLogEntry> Entries
    {
        get
        {
            lock (_gate)
            {
                return [.. _entries];
            }
        }
    }

    /// <summary>
    /// Notes something the program has promised at this moment, such as a <see cref="SectorOracle.Snapshot"/>. It becomes the observation of the crash
    /// images that follow it.
    /// </summary>
    public void AddNote(object note)
    {
        lock (_gate)
        {
            _entries.Add(new StorageLogEntry { Number = _entries.Count, Event = StorageLogEvent.Note, Note = note });
        }
    }

    /// <summary>
    /// A log without the calls that <paramref name="isDropped"/> names by their beginning: what would be on disk had they lied. A dropped flush makes
    /// nothing durable, a dropped write stores nothing.
    /// </summary>
    public StorageLog Without(Predicate<StorageLogEntry> isDropped)
    {
        var left = new StorageLog();
        lock (_gate)
        {
            HashSet<long> dropped = [.. _entries.Where(entry => entry.Event == StorageLogEvent.Began && isDropped(entry)).Select(entry => entry.Number)];
            left._entries.AddRange(_entries.Where(entry => entry.Event == StorageLogEvent.Note || !dropped.Contains(entry.Beginning)));
            left._baselines.AddRange(_baselines);
            left._fileCount = _fileCount;
        }

        return left;
    }

    /// <summary>Replays the log against simulated storage and captures what a crash could have left; for <see cref="CrashCheck"/>.</summary>
    public CrashRecorder Replay(CapturePoints points = CapturePoints.Sufficient)
    {
        var volume = new CachedVolume(WriteCacheMode.Volatile);
        var files = new Dictionary<int, CachedFile>();
        lock (_gate)
        {
            foreach (Baseline baseline in _baselines)
            {
                files.Add(baseline.File, volume.AddDurable(baseline.Path, baseline.Content.Fork()));
            }
        }

        var recorder = new CrashRecorder(volume, oracle: null, points);
        new StorageLogReplay(volume, files, recorder).Play(Entries);
        return recorder;
    }

    /// <summary>A number for a file that is met for the first time.</summary>
    /// <param name="path">Its normalised path.</param>
    /// <param name="content">What it held before the run; null for a file that the run creates.</param>
    internal int AddFile(string path, SparseContent? content)
    {
        lock (_gate)
        {
            int file = _fileCount++;
            if (content is not null)
            {
                _baselines.Add(new Baseline(file, path, content));
            }

            return file;
        }
    }

    internal StorageLogEntry Begin(StorageCall call, int file, ReadOnlyMemory<byte> data = default, string? newPath = null)
    {
        lock (_gate)
        {
            var entry = new StorageLogEntry
            {
                Number = _entries.Count,
                Event = StorageLogEvent.Began,
                Call = call,
                Beginning = _entries.Count,
                File = file,
                Data = data,
                NewPath = newPath,
            };
            _entries.Add(entry);
            return entry;
        }
    }

    internal void End(StorageLogEntry beginning, StorageLogEvent outcome)
    {
        lock (_gate)
        {
            _entries.Add(beginning with { Number = _entries.Count, Event = outcome, Data = default });
        }
    }

    private sealed record Baseline(int File, string Path, SparseContent Content);
}
