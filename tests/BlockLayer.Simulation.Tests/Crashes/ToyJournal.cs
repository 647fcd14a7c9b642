using System.Buffers.Binary;
using BlockLayer.Storage;

namespace BlockLayer.Simulation.Tests.Crashes;

/// <summary>
/// Two accounts, each in a sector of its own, that always hold 100 together. A transfer writes a journal sector, then both accounts, then clears the journal.
/// The flushes between the steps are what makes it safe; each can be left out.
/// </summary>
internal sealed class ToyJournal(StorageProvider storage, ToyJournal.Step leftOut)
{
    private const int Sector = 512;
    private const ulong JournalMagic = 0x746F79206A6F7572;

    private long _sequence;

    internal enum Step
    {
        None,
        FlushOfJournal,
        FlushOfAccounts,
        FlushOfDirectory,
    }

    /// <summary>Creates the two files, durably.</summary>
    internal async Task CreateAsync()
    {
        await using BlockStorage journal = await OpenAsync("/bank/journal", StorageOpenMode.CreateNew);
        await using BlockStorage accounts = await OpenAsync("/bank/accounts", StorageOpenMode.CreateNew);
        await journal.WriteAsync(0, new byte[Sector], CancellationToken.None);
        await accounts.WriteAsync(0, Encode(0, 50), CancellationToken.None);
        await accounts.WriteAsync(Sector, Encode(0, 50), CancellationToken.None);
        await journal.FlushAsync(CancellationToken.None);
        await accounts.FlushAsync(CancellationToken.None);
        if (leftOut != Step.FlushOfDirectory)
        {
            await storage.FlushDirectoryAsync("/bank/journal", CancellationToken.None);
        }
    }

    /// <summary>Moves money; durable when it returns. Returns the number of the transfer.</summary>
    internal async Task<long> TransferAsync(long left)
    {
        await using BlockStorage journal = await OpenAsync("/bank/journal", StorageOpenMode.OpenExisting);
        await using BlockStorage accounts = await OpenAsync("/bank/accounts", StorageOpenMode.OpenExisting);
        _sequence++;
        byte[] record = new byte[Sector];
        BinaryPrimitives.WriteUInt64BigEndian(record, JournalMagic);
        BinaryPrimitives.WriteInt64BigEndian(record.AsSpan(8), _sequence);
        BinaryPrimitives.WriteInt64BigEndian(record.AsSpan(16), left);
        await journal.WriteAsync(0, record, CancellationToken.None);
        if (leftOut != Step.FlushOfJournal)
        {
            await journal.FlushAsync(CancellationToken.None);
        }

        await accounts.WriteAsync(0, Encode(_sequence, left), CancellationToken.None);
        await accounts.WriteAsync(Sector, Encode(_sequence, 100 - left), CancellationToken.None);
        if (leftOut != Step.FlushOfAccounts)
        {
            await accounts.FlushAsync(CancellationToken.None);
        }

        await journal.WriteAsync(0, new byte[Sector], CancellationToken.None);
        return _sequence;
    }

    /// <summary>Finishes an interrupted transfer and returns the last one that took place; throws if money was lost.</summary>
    internal static async Task<long> RecoverAsync(StorageProvider storage)
    {
        await using BlockStorage journal = await storage.OpenAsync("/bank/journal", new StorageOpenOptions(), CancellationToken.None);
        await using BlockStorage accounts = await storage.OpenAsync("/bank/accounts", new StorageOpenOptions(), CancellationToken.None);
        byte[] record = new byte[Sector];
        await journal.ReadAsync(0, record, CancellationToken.None);
        if (BinaryPrimitives.ReadUInt64BigEndian(record) == JournalMagic)
        {
            return BinaryPrimitives.ReadInt64BigEndian(record.AsSpan(8));
        }

        byte[] both = new byte[2 * Sector];
        await accounts.ReadAsync(0, both, CancellationToken.None);
        long sum = BinaryPrimitives.ReadInt64BigEndian(both.AsSpan(8)) + BinaryPrimitives.ReadInt64BigEndian(both.AsSpan(Sector + 8));
        return sum == 100 ? BinaryPrimitives.ReadInt64BigEndian(both) : throw new InvalidDataException($"The accounts hold {sum} together.");
    }

    private static byte[] Encode(long sequence, long amount)
    {
        byte[] sector = new byte[Sector];
        BinaryPrimitives.WriteInt64BigEndian(sector, sequence);
        BinaryPrimitives.WriteInt64BigEndian(sector.AsSpan(8), amount);
        return sector;
    }

    private ValueTask<BlockStorage> OpenAsync(string path, StorageOpenMode mode)
        => storage.OpenAsync(path, new StorageOpenOptions { Writable = true, Mode = mode }, CancellationToken.None);
}
