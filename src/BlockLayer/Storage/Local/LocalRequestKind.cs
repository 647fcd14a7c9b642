namespace BlockLayer.Storage;

/// <summary>The requests of a <see cref="LocalFile"/> that may block.</summary>
internal enum LocalRequestKind
{
    Read,
    Write,
    WriteZeroes,
    Discard,
    SetLength,
    Flush,
    Copy,
}
