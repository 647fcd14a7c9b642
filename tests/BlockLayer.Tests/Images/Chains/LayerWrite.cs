namespace BlockLayer.Tests.Images.Chains;

/// <summary>One write of a generated chain, in sectors; what does not fit on the disk is left out.</summary>
/// <param name="Sector">Where.</param>
/// <param name="Count">How many.</param>
/// <param name="Writer">Whose pattern; 0 writes zeroes.</param>
internal sealed record LayerWrite(int Sector, int Count, int Writer);
