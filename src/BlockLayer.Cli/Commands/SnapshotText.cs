using System.Globalization;
using System.Text.Json;
using BlockLayer.Cli.Terminal;
using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Cli.Commands;

/// <summary>Lists of internal snapshots, as qemu-img prints them: the table in local time, JSON with the names of QEMU's <c>SnapshotInfo</c>.</summary>
internal static class SnapshotText
{
    /// <summary>Writes the table; nothing where there are none.</summary>
    internal static void Write(CommandContext context, IReadOnlyList<SnapshotInfo> snapshots)
    {
        if (snapshots.Count == 0)
        {
            return;
        }

        context.Out.WriteLine("Snapshot list:");
        context.Out.WriteLine($"{"ID",-10}{"TAG",-17}{"VM SIZE",8}{"DATE",20}{"VM CLOCK",13}{"ICOUNT",11}");
        foreach (SnapshotInfo snapshot in snapshots)
        {
            DateTimeOffset taken = TimeZoneInfo.ConvertTime(snapshot.Taken, context.Environment.Time.LocalTimeZone);
            string size = ByteSize.Format((long)Math.Min(snapshot.VmStateSize, long.MaxValue));
            string date = taken.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
            context.Out.WriteLine($"{PrintableText.Of(snapshot.Id),-9} {PrintableText.Of(snapshot.Name),-16} {size,8}{date,20}{Clock(snapshot.GuestNanoseconds),13}{snapshot.InstructionCount,11}");
        }
    }

    /// <summary>Writes the array.</summary>
    internal static void WriteJson(Utf8JsonWriter json, IReadOnlyList<SnapshotInfo> snapshots)
    {
        const ulong NanosecondsPerSecond = 1_000_000_000;
        json.WriteStartArray();
        foreach (SnapshotInfo snapshot in snapshots)
        {
            json.WriteStartObject();
            if (snapshot.InstructionCount is { } count)
            {
                json.WriteNumber("icount", count);
            }

            json.WriteNumber("vm-clock-nsec", snapshot.GuestNanoseconds % NanosecondsPerSecond);
            json.WriteString("name", snapshot.Name);
            json.WriteNumber("date-sec", snapshot.Taken.ToUnixTimeSeconds());
            json.WriteNumber("date-nsec", snapshot.Taken.Ticks % TimeSpan.TicksPerSecond * TimeSpan.NanosecondsPerTick);
            json.WriteNumber("vm-clock-sec", snapshot.GuestNanoseconds / NanosecondsPerSecond);
            json.WriteString("id", snapshot.Id);
            json.WriteNumber("vm-state-size", snapshot.VmStateSize);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static string Clock(ulong nanoseconds)
    {
        ulong milliseconds = nanoseconds / 1_000_000;
        ulong seconds = milliseconds / 1000;
        return string.Create(CultureInfo.InvariantCulture, $"{seconds / 3600:00}:{seconds / 60 % 60:00}:{seconds % 60:00}.{milliseconds % 1000:000}");
    }
}
