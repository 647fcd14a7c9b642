using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Storage;

namespace BlockLayer.Images;

/// <summary>What an overlay is like that is to be created for a disk.</summary>
internal static class NewOverlay
{
    /// <summary>Describes an empty overlay of <paramref name="image"/> at <paramref name="path"/>, without looking at what is there.</summary>
    /// <exception cref="BlockLayerException">Unsupported: the image is stored in no file; NotFound: there is no directory for the overlay.</exception>
    internal static NewImage Describe(BlockNode image, string path, OverlayOptions options)
    {
        StorageProvider files = image.Environment.Files;
        string file = BackingName.FileOf(image)?.Storage.Name
            ?? throw new BlockLayerException(BlockErrorKind.Unsupported, $"'{image.NodeName}' is stored in no file that an overlay could name.") { NodeName = image.NodeName, Path = path };
        return new NewImage
        {
            Format = options.Format,
            Length = image.Length,
            Backing = new BackingReference(options.BackingName ?? BackingName.ForNewOverlay(files, path, file), FormatOf(image)),
            Options = options.CreateOptions,
            Secrets = options.Secrets,
            Verification = BackingVerification.None, // it is open to be written
        };
    }

    /// <summary>The format by which an overlay records an image.</summary>
    internal static string FormatOf(BlockNode image) => image is StorageNode ? "raw" : image.DriverName;
}
