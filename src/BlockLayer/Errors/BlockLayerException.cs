namespace BlockLayer.Errors;

/// <summary>
/// A failure of the block layer. <see cref="Kind"/> is for programs, <see cref="Exception.Message"/> for people: it names the subject as its
/// specification spells it, what was found and where, and what is allowed. Context (<see cref="NodeName"/>, <see cref="Path"/>, <see cref="Offset"/>)
/// is carried beside the message, not inside it, so that whoever prints it puts the path once.
/// </summary>
public class BlockLayerException : IOException
{
    /// <summary>Makes an error of the given kind.</summary>
    public BlockLayerException(BlockErrorKind kind, string message, Exception? cause = null)
        : base(message, cause)
        => Kind = kind;

    /// <summary>The class of the failure.</summary>
    public BlockErrorKind Kind { get; }

    /// <summary>The node that failed, or null where no node was involved.</summary>
    public string? NodeName { get; init; }

    /// <summary>The file that failed, or null where no file was involved.</summary>
    public string? Path { get; init; }

    /// <summary>Byte position of the failure in <see cref="Path"/>, or in the node's address space where there is no path; null if unknown.</summary>
    public long? Offset { get; init; }

    /// <summary>The same error, known to be about <paramref name="path"/>.</summary>
    internal virtual BlockLayerException WithPath(string path)
        => new(Kind, Message, InnerException) { NodeName = NodeName, Path = path, Offset = Offset };
}
