using System.Numerics;
using System.Text;
using BlockLayer.Errors;
using BlockLayer.Graph;
using BlockLayer.Requests;

namespace BlockLayer.Formats.Qcow2;

// The bitmaps that are stored with the image: what can be asked of them and done to them. Everything runs drained, so no write is under way that would be in
// the bits before and not in those after.
internal sealed partial class Qcow2Node : IBitmapImage
{
    private readonly BitmapHolds _bitmapHolds = new();

    /// <inheritdoc/>
    public IReadOnlyList<ImageBitmap> ListBitmaps()
    {
        if (_bitmaps.Damage is { } damage)
        {
            throw Refusal(damage);
        }

        return [.. _bitmaps.Bitmaps.Select(static bitmap => new ImageBitmap(bitmap.Entry.Name, 1L << Math.Min((int)bitmap.Entry.GranularityBits, 62))
        {
            IsEnabled = bitmap.Entry.IsAuto,
            IsInUse = bitmap.Entry.IsInUse,
            Problem = ProblemOf(bitmap),
        })];
    }

    /// <inheritdoc/>
    public async ValueTask<DirtyBitmap> ReadBitmapAsync(string name, CancellationToken cancellationToken)
    {
        using GraphChange change = await BeginChangeAsync(cancellationToken).ConfigureAwait(false);
        return await LoadBitmapAsync(FindUsableBitmap(name), cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public ValueTask AddBitmapAsync(string name, long granularity, bool isEnabled, CancellationToken cancellationToken)
    {
        int nameLength = Encoding.UTF8.GetByteCount(name);
        if (nameLength is 0 or > Qcow2Limits.MaxBitmapNameLength)
        {
            throw new ArgumentException($"A bitmap's name has 1 to {Qcow2Limits.MaxBitmapNameLength} bytes of UTF-8, not {nameLength}.", nameof(name));
        }

        if (!BitOperations.IsPow2(granularity) || BitOperations.Log2((ulong)granularity) is < DirtyBitmap.MinGranularityBits or > DirtyBitmap.MaxGranularityBits)
        {
            throw new ArgumentException($"A bitmap's granularity is a power of two from 512 to 2147483648, not {granularity}.", nameof(granularity));
        }

        return ChangeBitmapsAsync(() => AddDraftAsync(name, BitOperations.Log2((ulong)granularity), isEnabled), cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask RemoveBitmapAsync(string name, CancellationToken cancellationToken) => ChangeBitmapsAsync(
        async () =>
        {
            StoredBitmap gone = FindBitmap(name);
            _bitmapHolds.ThrowIfHeld(name, this);
            return [.. (await DraftsAsync().ConfigureAwait(false)).Where(draft => draft.Source != gone)];
        },
        cancellationToken);

    /// <inheritdoc/>
    public ValueTask ClearBitmapAsync(string name, CancellationToken cancellationToken) => ChangeBitmapAsync(
        name,
        draft => ValueTask.FromResult(draft with { Content = new DirtyBitmap(Length, draft.Entry.GranularityBits) }),
        cancellationToken);

    /// <inheritdoc/>
    public IDisposable HoldBitmap(string name, string by)
    {
        FindUsableBitmap(name);
        return _bitmapHolds.Hold(name, this, by);
    }

    /// <inheritdoc/>
    public ValueTask ReplaceBitmapAsync(string name, DirtyBitmap bits, CancellationToken cancellationToken) => ChangeBitmapAsync(
        name,
        draft =>
        {
            var content = new DirtyBitmap(Length, draft.Entry.GranularityBits);
            content.Merge(bits);
            return ValueTask.FromResult(draft with { Content = content });
        },
        cancellationToken,
        evenIfHeld: true);

    /// <inheritdoc/>
    public ValueTask EnableBitmapAsync(string name, bool isEnabled, CancellationToken cancellationToken) => ChangeBitmapAsync(
        name,
        draft => ValueTask.FromResult(draft with { Entry = draft.Entry.WithAuto(isEnabled) }),
        cancellationToken);

    /// <inheritdoc/>
    public ValueTask MergeBitmapAsync(string name, DirtyBitmap source, CancellationToken cancellationToken) => ChangeBitmapAsync(
        name,
        async draft =>
        {
            if (source.Length != Length)
            {
                throw Error(BlockErrorKind.Unsupported, $"Bitmap '{name}' of '{NodeName}' describes {Length} bytes and cannot take in one that describes {source.Length}.");
            }

            DirtyBitmap content = draft.Content ?? await LoadBitmapAsync(draft.Source!, CancellationToken.None).ConfigureAwait(false);
            content.Merge(source);
            return draft with { Content = content };
        },
        cancellationToken);

    /// <summary>
    /// Refuses what makes the disk show other data without a write, where there are bitmaps that would not know of it. QEMU does not switch to a snapshot
    /// while there are any either.
    /// </summary>
    /// <exception cref="BlockLayerException">Unsupported.</exception>
    internal void ThrowIfBitmaps(string operation)
    {
        if (_bitmaps.Bitmaps.Count > 0)
        {
            throw Error(
                BlockErrorKind.Unsupported,
                $"'{NodeName}' has the bitmap '{_bitmaps.Bitmaps[0].Entry.Name}'{(_bitmaps.Bitmaps.Count > 1 ? $" and {_bitmaps.Bitmaps.Count - 1} more" : "")}, which would not tell what {operation} changed; remove it first.");
        }
    }

    private static string? ProblemOf(StoredBitmap bitmap)
        => bitmap.Obstacle
            ?? (bitmap.IsDamaged ? "its stored bits are damaged"
                : bitmap.IsInconsistent ? "it was in use when its writer stopped, so nobody knows which writes it lacks"
                : null);

    private StoredBitmap FindBitmap(string name)
        => _bitmaps.Bitmaps.FirstOrDefault(bitmap => bitmap.Entry.Name == name)
            ?? throw Error(BlockErrorKind.NotFound, $"'{NodeName}' has no bitmap '{name}'.");

    private StoredBitmap FindUsableBitmap(string name)
    {
        StoredBitmap bitmap = FindBitmap(name);
        return ProblemOf(bitmap) is not { } problem ? bitmap
            : throw Error(
                bitmap.Obstacle is null ? BlockErrorKind.Corrupt : BlockErrorKind.Unsupported,
                $"Bitmap '{name}' of '{NodeName}' cannot be used: {problem}. It can only be removed.");
    }

    private async ValueTask<DirtyBitmap> LoadBitmapAsync(StoredBitmap bitmap, CancellationToken cancellationToken)
    {
        try
        {
            return await _bitmaps.LoadAsync(bitmap, cancellationToken).ConfigureAwait(false);
        }
        catch (ImageFormatException damage)
        {
            bitmap.IsDamaged = true;
            TrackWrites();
            throw Error(damage.Kind, damage.Message, damage.Offset, damage);
        }
    }

    private async ValueTask<IReadOnlyList<BitmapDraft>> AddDraftAsync(string name, int granularityBits, bool isEnabled)
    {
        if (_bitmaps.Bitmaps.Any(bitmap => bitmap.Entry.Name == name))
        {
            throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' has a bitmap '{name}' already.");
        }

        if (Length == 0 || !DirtyBitmap.CanCover(Length, granularityBits))
        {
            throw Error(
                BlockErrorKind.Unsupported,
                $"A bitmap with a granularity of {1L << granularityBits} bytes cannot describe the {Length} bytes of '{NodeName}'; it has 1 to {DirtyBitmap.MaxBits} bits.");
        }

        BitmapDirectoryEntry entry = BitmapDirectoryEntry.Create(name, granularityBits, isEnabled);
        IReadOnlyList<BitmapDraft> drafts = await DraftsAsync().ConfigureAwait(false);
        if (drafts.Count >= Qcow2Limits.MaxBitmaps || drafts.Sum(static draft => (long)draft.Entry.Length) + entry.Length > Qcow2Limits.MaxBitmapDirectoryLength)
        {
            throw Error(
                BlockErrorKind.Unsupported,
                $"'{NodeName}' has {drafts.Count} bitmaps and takes no more: at most {Qcow2Limits.MaxBitmaps}, in a directory of at most {Qcow2Limits.MaxBitmapDirectoryLength} bytes.");
        }

        return [.. drafts, new BitmapDraft(Source: null, entry, new DirtyBitmap(Length, granularityBits))];
    }

    private ValueTask ChangeBitmapAsync(
        string name,
        Func<BitmapDraft, ValueTask<BitmapDraft>> change,
        CancellationToken cancellationToken,
        bool evenIfHeld = false) => ChangeBitmapsAsync(
        async () =>
        {
            StoredBitmap changed = FindUsableBitmap(name);
            if (!evenIfHeld)
            {
                _bitmapHolds.ThrowIfHeld(name, this);
            }

            var drafts = new List<BitmapDraft>();
            foreach (BitmapDraft draft in await DraftsAsync().ConfigureAwait(false))
            {
                drafts.Add(draft.Source == changed ? await change(draft).ConfigureAwait(false) : draft);
            }

            _ = FindUsableBitmap(name); // making the draft may have found that it is damaged
            return drafts;
        },
        cancellationToken);

    /// <summary>
    /// Changes the bitmaps, the node drained. Afterwards everything is stored, so no bitmap is in use: the next write marks those again that are enabled.
    /// </summary>
    private async ValueTask ChangeBitmapsAsync(Func<ValueTask<IReadOnlyList<BitmapDraft>>> makeDrafts, CancellationToken cancellationToken)
    {
        using GraphChange change = await BeginChangeAsync(cancellationToken).ConfigureAwait(false);
        if (IsReadOnly)
        {
            throw Error(BlockErrorKind.ReadOnly, $"'{NodeName}' was opened read-only; its bitmaps cannot be changed.");
        }

        if (Header.Version < 3)
        {
            throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' is a version 2 image, which cannot say whether bitmaps are up to date; bitmaps need version 3.");
        }

        await MapMetadataAsync().ConfigureAwait(false);
        IReadOnlyList<BitmapDraft> drafts = await makeDrafts().ConfigureAwait(false);
        await CommitBitmapsAsync(drafts, static header => header).ConfigureAwait(false);
        await SettleAsync().ConfigureAwait(false);
    }
}
