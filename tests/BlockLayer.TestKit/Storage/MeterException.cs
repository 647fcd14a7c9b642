namespace BlockLayer.TestKit;

/// <summary>A run asked its files for more than its share. No error of the block layer, so nobody takes it for the image's fault.</summary>
public sealed class MeterException(string message) : Exception(message);
