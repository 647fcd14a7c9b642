namespace BlockLayer.Graph;

/// <summary>The second file that a new image is to keep its data in.</summary>
/// <param name="Name">As the image records it.</param>
/// <param name="Preallocation">How much of its room is taken at once.</param>
internal sealed record NewDataFile(string Name, Preallocation Preallocation);
