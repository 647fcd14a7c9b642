namespace BlockLayer.Simulation;

/// <summary>Does to a volume, in order, what a log says was done to real files. A call that failed may have happened: its changes stay in flight for ever.</summary>
internal sealed class StorageLogReplay(CachedVolume volume, Dictionary<int, CachedFile> files, CrashRecorder recorder)
{
    private readonly Dictionary<long, PendingOperation> _changes = [];
    private readonly Dictionary<long, long> _flushPoints = [];

    internal void Play(IReadOnlyList<StorageLogEntry> entries)
    {
        object? note = null;
        recorder.Observe = () => note;
        foreach (StorageLogEntry entry in entries)
        {
            switch (entry.Event)
            {
                case StorageLogEvent.Note:
                    note = entry.Note;
                    break;
                case StorageLogEvent.Began:
                    Begin(entry);
                    break;
                case StorageLogEvent.Completed:
                    Complete(entry);
                    break;
                default:
                    Fail(entry);
                    break;
            }
        }
    }

    private void Begin(StorageLogEntry entry)
    {
        switch (entry.Call.Kind)
        {
            case StorageOperations.Flush:
                _flushPoints[entry.Number] = files[entry.File].BeginFlush();
                break;
            case StorageOperations.FlushDirectory:
                _flushPoints[entry.Number] = volume.BeginFlushDirectory();
                break;
            case StorageOperations.Create:
                files[entry.File] = volume.Create(entry.Call.Path);
                break;
            case StorageOperations.Rename or StorageOperations.Delete:
                break;
            default:
                _changes[entry.Number] = files[entry.File].Issue(entry.Call, entry.Data);
                break;
        }
    }

    private void Complete(StorageLogEntry entry)
    {
        switch (entry.Call.Kind)
        {
            case StorageOperations.Flush:
                files[entry.File].EndFlush(_flushPoints[entry.Beginning]);
                break;
            case StorageOperations.FlushDirectory:
                volume.EndFlushDirectory(entry.Call.Path, _flushPoints[entry.Beginning]);
                break;
            case StorageOperations.Create:
                break;
            case StorageOperations.Rename:
                volume.Rename(entry.Call.Path, entry.NewPath!);
                break;
            case StorageOperations.Delete:
                volume.Delete(entry.Call.Path);
                break;
            default:
                PendingOperation change = _changes[entry.Beginning];
                change.File!.Complete(change, SectorPattern.All);
                break;
        }
    }

    private void Fail(StorageLogEntry entry)
    {
        if (entry.Call.Kind == StorageOperations.Flush)
        {
            files[entry.File].Disown(_flushPoints[entry.Beginning]);
        }
    }
}
