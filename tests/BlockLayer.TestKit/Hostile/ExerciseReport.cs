using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.TestKit.Hostile;

/// <summary>How each step of an exercise ended: null for well, or the step not reached; else the first error.</summary>
internal sealed class ExerciseReport
{
    internal BlockLayerException? Open { get; set; }

    internal BlockLayerException? Info { get; set; }

    internal BlockLayerException? Map { get; set; }

    internal BlockLayerException? ReadAll { get; set; }

    internal BlockLayerException? Check { get; set; }

    internal BlockLayerException? Write { get; set; }

    internal BlockLayerException? Close { get; set; }

    /// <summary>Bytes of the virtual disk; null if it could not be opened.</summary>
    internal long? Length { get; set; }

    /// <summary>Images of the chain that were described.</summary>
    internal int Images { get; set; }

    /// <summary>Snapshots that they list.</summary>
    internal int Snapshots { get; set; }

    /// <summary>Bitmaps that they list.</summary>
    internal int Bitmaps { get; set; }

    /// <summary>Sentences about what they cannot tell.</summary>
    internal int Damage { get; set; }

    /// <summary>Runs the map has, as far as it was listed.</summary>
    internal int MapRuns { get; set; }

    /// <summary>Reads and questions that failed; each costs an error object, whatever the image is like.</summary>
    internal int FailedRequests { get; set; }

    /// <summary>Bytes of the virtual disk that were asked for.</summary>
    internal long BytesRead { get; set; }

    /// <summary>What the check found; null if it could not be done.</summary>
    internal ImageCheckReport? CheckReport { get; set; }
}
