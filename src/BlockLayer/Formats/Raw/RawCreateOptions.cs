using System.Diagnostics.CodeAnalysis;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Raw;

/// <summary>What a new raw disk is to be like.</summary>
public sealed record RawCreateOptions : ImageCreateOptions
{
    /// <summary>Plain options with raw's defaults.</summary>
    [SetsRequiredMembers]
    public RawCreateOptions(ImageCreateOptions basic)
        : base(basic)
    {
    }

    /// <summary>Options for a disk of a size.</summary>
    public RawCreateOptions()
    {
    }

    /// <summary>How much of the room is taken at once. A raw disk has no mappings, so not <see cref="Preallocation.Metadata"/>.</summary>
    public Preallocation Preallocation { get; init; }

    /// <summary>Reads qemu-img's spelling.</summary>
    internal static RawCreateOptions Parse(ImageCreateOptions basic, IReadOnlyDictionary<string, string> options)
    {
        var result = new RawCreateOptions(basic);
        foreach ((string name, string value) in options)
        {
            result = name switch
            {
                "preallocation" => result with { Preallocation = PreallocationNames.Parse(value, Preallocation.Off, Preallocation.Falloc, Preallocation.Full) },
                _ => throw new ArgumentException($"Format raw has no option '{name}'; it has preallocation."),
            };
        }

        return result;
    }
}
