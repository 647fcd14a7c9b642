namespace BlockLayer.Cli.Demo;

/// <summary>What the demo plays with.</summary>
/// <param name="Directory">Where the images are made.</param>
/// <param name="Length">Size of the virtual disk in bytes, a multiple of 1 MiB.</param>
/// <param name="Seed">Decides the images and everything the guests do.</param>
/// <param name="Bandwidth">Most bytes a second that the pull copies.</param>
internal sealed record DemoOptions(string Directory, long Length, int Seed, long Bandwidth);
