using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Libvirt.Tests.Snapshots;

/// <summary>
/// Random snapshots of random disks, merged either way, made and deleted in any order, under guests, of a domain that runs or is shut off, whose disks are put back to older snapshots
/// now and then; notes that cannot be made; and power failures at any moment, in the starts that follow them too. After each step, what every image has to show is compared with a model.
/// </summary>
public class SnapshotTreeSimulations
{
    private const int Steps = 14;

    [Fact]
    public void Whatever_is_made_deleted_and_interrupted_every_image_shows_what_it_has_to()
    {
        int made = 0, deleted = 0, refused = 0, failed = 0, crashes = 0;
        Seeds.Check($"{nameof(SnapshotTreeSimulations)}.{nameof(Whatever_is_made_deleted_and_interrupted_every_image_shows_what_it_has_to)}", count: 30, seed =>
        {
            var run = new SnapshotTreeRun(seed);
            run.Run(Steps);
            (made, deleted, refused, failed, crashes) = (made + run.Made, deleted + run.Deleted, refused + run.Refused, failed + run.Failed, crashes + run.Crashes);
        });
        TestContext.Current.TestOutputHelper!.WriteLine($"{made} snapshots made, {deleted} deleted, {refused} calls refused, {failed} failed, {crashes} crashes");
    }
}
