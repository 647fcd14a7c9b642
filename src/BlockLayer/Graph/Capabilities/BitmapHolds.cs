using BlockLayer.Errors;

namespace BlockLayer.Graph;

/// <summary>Which bitmaps of an image are kept as they are, and by whom.</summary>
internal sealed class BitmapHolds
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, string> _holders = []; // guarded by _gate; by the bitmap's name

    /// <summary>Holds a bitmap until the result is disposed.</summary>
    /// <exception cref="BlockLayerException">Conflict: somebody holds it.</exception>
    internal IDisposable Hold(string name, BlockNode image, string by)
    {
        lock (_gate)
        {
            ThrowIfHeldLocked(name, image);
            _holders.Add(name, by);
        }

        return new Held(this, name);
    }

    /// <exception cref="BlockLayerException">Conflict: somebody holds the bitmap.</exception>
    internal void ThrowIfHeld(string name, BlockNode image)
    {
        lock (_gate)
        {
            ThrowIfHeldLocked(name, image);
        }
    }

    private void ThrowIfHeldLocked(string name, BlockNode image)
    {
        if (_holders.TryGetValue(name, out string? by))
        {
            throw new BlockLayerException(BlockErrorKind.Conflict, $"Bitmap '{name}' of '{image.NodeName}' cannot change: {by} uses it.") { NodeName = image.NodeName, Path = image.Path };
        }
    }

    private sealed class Held(BitmapHolds owner, string name) : IDisposable
    {
        public void Dispose()
        {
            lock (owner._gate)
            {
                owner._holders.Remove(name);
            }
        }
    }
}
