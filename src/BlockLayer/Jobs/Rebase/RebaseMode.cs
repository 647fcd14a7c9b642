namespace BlockLayer.Jobs;

/// <summary>What a rebase does about content in which the old and the new backing file differ.</summary>
public enum RebaseMode
{
    /// <summary>Copies it into the image first, so that the disk shows the same.</summary>
    Safe,

    /// <summary>Nothing: the caller knows that both hold the same, because one is a copy of the other. Else the disk shows something else from the switch on.</summary>
    Unsafe,
}
