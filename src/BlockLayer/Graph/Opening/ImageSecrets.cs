using BlockLayer.Storage;

namespace BlockLayer.Graph;

/// <summary>Which passphrase opens which encrypted image. The passphrases stay the caller's, who disposes them when no image is opened with them any more.</summary>
public sealed class ImageSecrets
{
    private readonly Passphrase? _everyImage;
    private readonly List<(string Path, Passphrase Passphrase)> _byImage = [];

    /// <summary>No secrets, or one for every image that has none of its own.</summary>
    public ImageSecrets(Passphrase? everyImage = null) => _everyImage = everyImage;

    /// <summary>Adds the passphrase of one image.</summary>
    /// <param name="path">The image's file, by any of its names.</param>
    /// <param name="passphrase">Its passphrase.</param>
    /// <returns>This.</returns>
    public ImageSecrets Add(string path, Passphrase passphrase)
    {
        _byImage.Add((path, passphrase));
        return this;
    }

    /// <summary>The passphrase for the image at a path; null for none.</summary>
    internal Passphrase? Find(StorageProvider files, string path)
    {
        StorageIdentity? wanted = _byImage.Count > 0 ? files.GetInfo(path)?.Identity : null;
        foreach ((string known, Passphrase passphrase) in _byImage)
        {
            if (known == path || (wanted is not null && files.GetInfo(known)?.Identity == wanted))
            {
                return passphrase;
            }
        }

        return _everyImage;
    }
}
