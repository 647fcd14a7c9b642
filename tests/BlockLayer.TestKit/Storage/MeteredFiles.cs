using BlockLayer.Errors;
using BlockLayer.Storage;

namespace BlockLayer.TestKit;

/// <summary>
/// Files in memory that count what is asked of them, and end a run that asks for more than it was given: so "no hang" and "no more than its share" are
/// counted, not timed. For one thread. Buffers are kept for the next content, so that a run's own allocations can be measured.
/// </summary>
public sealed class MeteredFiles : StorageProvider
{
    private readonly Dictionary<string, MeteredFile> _files = new(StringComparer.Ordinal);

    /// <summary>The most calls that are answered before <see cref="MeterException"/>.</summary>
    public long CallBudget { get; set; } = long.MaxValue;

    /// <summary>Bytes that one file may grow to; more is NoSpace, as on a small disk.</summary>
    public int FileLimit { get; init; } = 32 << 20;

    /// <summary>Calls answered since <see cref="Reset"/>.</summary>
    public long Calls { get; private set; }

    /// <summary>Bytes read since <see cref="Reset"/>.</summary>
    public long BytesRead { get; private set; }

    /// <summary>Bytes written since <see cref="Reset"/>.</summary>
    public long BytesWritten { get; private set; }

    /// <summary>Names opened since <see cref="Reset"/>, in order.</summary>
    public List<string> Opened { get; } = [];

    /// <summary>Starts counting anew.</summary>
    public void Reset()
    {
        Calls = 0;
        BytesRead = 0;
        BytesWritten = 0;
        Opened.Clear();
    }

    /// <summary>Gives a file this content, whatever it held, and a hole of any length behind it, which reads as zeroes.</summary>
    public void Put(string path, ReadOnlySpan<byte> content, long hole = 0)
    {
        if (!_files.TryGetValue(path, out MeteredFile? file))
        {
            _files[path] = file = new MeteredFile(this, path, (ulong)_files.Count + 1);
        }

        file.SetContent(content, hole);
    }

    /// <summary>What a file holds, without the part of a hole that nobody wrote to.</summary>
    public ReadOnlySpan<byte> Get(string path) => _files[path].Content;

    /// <inheritdoc/>
    public override ValueTask<BlockStorage> OpenAsync(string path, StorageOpenOptions options, CancellationToken cancellationToken)
    {
        Opened.Add(path);
        bool exists = _files.ContainsKey(path);
        if (exists ? options.Mode == StorageOpenMode.CreateNew : options.Mode == StorageOpenMode.OpenExisting)
        {
            throw new BlockLayerException(
                exists ? BlockErrorKind.Conflict : BlockErrorKind.NotFound, $"Open failed: there is {(exists ? "a file" : "no file")} of that name.") { Path = path };
        }

        if (!exists || options.Mode == StorageOpenMode.CreateOrTruncate)
        {
            Put(path, []);
        }

        return new(_files[path].Open(options.Writable));
    }

    /// <inheritdoc/>
    public override StorageFileInfo? GetInfo(string path)
        => _files.TryGetValue(path, out MeteredFile? file) ? new StorageFileInfo(file.Identity, StorageFileKind.Regular, file.Length) : null;

    /// <inheritdoc/>
    public override IReadOnlyList<string> ListFiles(string directory)
        => [.. _files.Keys.Where(file => Path.GetDirectoryName(file) == directory).Order(StringComparer.Ordinal)];

    /// <inheritdoc/>
    public override string GetRealPath(string path) => Path.GetFullPath(path);

    /// <inheritdoc/>
    public override ValueTask RenameAsync(string path, string newPath, CancellationToken cancellationToken) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override ValueTask DeleteAsync(string path, CancellationToken cancellationToken)
    {
        _files.Remove(path);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public override ValueTask FlushDirectoryAsync(string path, CancellationToken cancellationToken) => ValueTask.CompletedTask;

    internal void Count(long read, long written)
    {
        BytesRead += read;
        BytesWritten += written;
        if (++Calls > CallBudget)
        {
            throw new MeterException($"More than {CallBudget} calls reached the files: {BytesRead} bytes read, {BytesWritten} written.");
        }
    }
}
