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
            if (header.Current.Extensions.Find(HeaderExtensionType.Bitmaps) is not null)
            {
                await DropAsync().ConfigureAwait(false);
                log.Add("The bitmaps, which a program that knows of none has made out of date, were given up.");
            }

            return false; // nothing was counted through them
        }

        CheckTally tally = new();
        ReferenceCounter own = new(g, file.Length, tally);
        await new BitmapCheck(file, g, header.Current, own, tally).CheckAsync(CancellationToken.None).ConfigureAwait(false);
        if (tally[ImageFaultKind.Corruption] == 0 && !SharesClusters(own.Counts, image))
        {
            return false;
        }

        await DropAsync().ConfigureAwait(false);
        log.Add("The bitmaps are damaged and were given up.");
        return true;
    }

    /// <summary>
    /// Drops the extension, at which QEMU would warn at every open. Where extensions that have to stay are in the way it stays too; it is the autoclear bit that says whether it means
    /// anything.
    /// </summary>
    private async ValueTask DropAsync()
    {
        if (BitmapsChangePlan.TryCreate(header.FirstCluster, target: null, static unchanged => unchanged) is { } plan)
        {
            await header.CarryOutAsync(plan).ConfigureAwait(false);
        }
        else
        {
            await header.UpdateAsync(static changed => changed with { Autoclear = changed.Autoclear & ~AutoclearFeatures.Bitmaps }).ConfigureAwait(false);
        }
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
