using Xunit;

namespace BlockLayer.Simulation.Tests.Crashes;

/// <summary>The enumeration must find a flush that is missing, and must not complain when none is.</summary>
public class CrashCheckTests
{
    [Theory]
    [InlineData(CapturePoints.Sufficient, 24)]
    [InlineData(CapturePoints.EveryOperation, 92)]
    public async Task A_correct_journal_passes_every_crash(CapturePoints points, long expected)
    {
        long states = await CheckJournalAsync(new SimulatedStorageProvider(), ToyJournal.Step.None, points);
        Assert.Equal(expected, states);
    }

    [Theory]
    [InlineData(nameof(ToyJournal.Step.FlushOfJournal), "The accounts hold")]
    [InlineData(nameof(ToyJournal.Step.FlushOfAccounts), "Transfer 1 was acknowledged, 0 is the last one found.")]
    [InlineData(nameof(ToyJournal.Step.FlushOfDirectory), "There is no such file.")]
    public async Task A_missing_flush_is_caught_and_its_state_named(string leftOut, string complaint)
    {
        var storage = new SimulatedStorageProvider();
        var error = await Assert.ThrowsAsync<CrashCheckException>(() => CheckJournalAsync(storage, Enum.Parse<ToyJournal.Step>(leftOut), CapturePoints.Sufficient));
        string[] lines = error.Message.Split(Environment.NewLine);
        Assert.StartsWith("crash ", lines[0], StringComparison.Ordinal);
        Assert.StartsWith(complaint, lines[1], StringComparison.Ordinal);
        CrashState again = error.State.Image.FindState(lines[0]);
        Assert.Equal(error.State.Describe(), again.Describe());
    }

    [Fact]
    public async Task A_lying_flush_is_caught_whichever_it_is()
    {
        // Two in each transfer and two to create the files.
        for (int flush = 0; flush < 6; flush++)
        {
            var storage = new SimulatedStorageProvider();
            var lie = new FaultRule { Operations = StorageOperations.Flush, Skip = flush, Count = 1, Effect = FaultEffect.Lie };
            storage.Faults.Add(lie);
            await Assert.ThrowsAsync<CrashCheckException>(() => CheckJournalAsync(storage, ToyJournal.Step.None, CapturePoints.Sufficient, transfers: 2));
            Assert.Equal(1, storage.Faults.CountHits(lie));
        }
    }

    private static async Task<long> CheckJournalAsync(SimulatedStorageProvider storage, ToyJournal.Step leftOut, CapturePoints points, int transfers = 3)
    {
        var journal = new ToyJournal(storage, leftOut);
        await journal.CreateAsync();
        long acknowledged = 0;
        using var recorder = new CrashRecorder(storage, points: points) { Observe = () => acknowledged };
        for (int i = 0; i < transfers; i++)
        {
            acknowledged = await journal.TransferAsync(left: 10 * i);
        }

        return await CrashCheck.RunAsync(recorder, async (state, reopened) =>
        {
            long found = await ToyJournal.RecoverAsync(reopened);
            Assert.True(found >= (long)state.Image.Observation!, $"Transfer {state.Image.Observation} was acknowledged, {found} is the last one found.");
        });
    }
}
