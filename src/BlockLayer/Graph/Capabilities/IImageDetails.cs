namespace BlockLayer.Graph;

/// <summary>A format node that can tell more about its image than every node can.</summary>
internal interface IImageDetails
{
    /// <summary>What the header says, from memory: reads nothing.</summary>
    ImageDetails GetDetails();
}
