using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

/// <summary>
/// Gives up the bitmaps where they are damaged or share clusters with something: what they say cannot be believed then, and a backup that believes it
/// leaves out what changed. Without the autoclear bit everybody knows, and their clusters are free.
/// </summary>
internal sealed class BitmapRepair(IMetadataReader file, ClusterGeometry g, HeaderStore header, RepairLog log)
{
    /// <summary>True when the bitmaps were given up, so that everything has to be counted again. Durable on return.</summary>
    public async ValueTask<bool> RepairAsync(CountedImage image)
    {
        if ((header.Current.Autoclear & AutoclearFeatures.Bitmaps) == 0)
        {
            return false;
        }

        CheckTally tally = new();
        ReferenceCounter own = new(g, file.Length, tally);
        await new BitmapCheck(file, g, header.Current, own, tally).CheckAsync(CancellationToken.None).ConfigureAwait(false);
        if (tally[ImageFaultKind.Corruption] == 0 && !SharesClusters(own.Counts, image))
        {
            return false;
        }

        await header.UpdateAsync(static changed => changed with { Autoclear = changed.Autoclear & ~AutoclearFeatures.Bitmaps }).ConfigureAwait(false);
        log.Add("The bitmaps are damaged and were given up.");
        return true;
    }

    private static bool SharesClusters(ClusterCounts own, CountedImage image)
    {
        foreach (long page in own.Pages())
        {
            long first = page * ClusterCounts.PageLength;
            for (long cluster = first; cluster < first + ClusterCounts.PageLength; cluster++)
            {
                if (own[cluster] > 0 && image.IsContested(new HostCluster(cluster)))
                {
                    return true;
                }
            }
        }

        return false;
    }
}
