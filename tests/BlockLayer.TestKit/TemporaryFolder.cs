namespace BlockLayer.TestKit;

/// <summary>A folder of its own for one test, removed with all that is in it.</summary>
public sealed class TemporaryFolder : IDisposable
{
    /// <summary>Makes an empty folder.</summary>
    /// <param name="parent">Where; null is the machine's place for temporary files.</param>
    public TemporaryFolder(string? parent = null)
    {
        Path = parent is null
            ? Directory.CreateTempSubdirectory("blocklayer-").FullName
            : Directory.CreateDirectory(System.IO.Path.Combine(parent, "blocklayer-" + System.IO.Path.GetRandomFileName())).FullName;
    }

    /// <summary>The folder, absolute.</summary>
    public string Path { get; }

    /// <summary>The path of a file in it, which need not exist.</summary>
    public string File(string name) => System.IO.Path.Combine(Path, name);

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(Path, recursive: true);
}
