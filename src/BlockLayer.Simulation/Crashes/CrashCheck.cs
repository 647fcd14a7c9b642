namespace BlockLayer.Simulation;

/// <summary>Reopens every state that a crash during a recorded run could have left, and asks whether it keeps the program's promises.</summary>
public static class CrashCheck
{
    /// <summary>Captures the end of the run and checks all images of the recorder.</summary>
    /// <param name="recorder">The recorder of a run that is over.</param>
    /// <param name="verify">
    /// Opens what it needs from the storage it is given, which holds one state, and throws if a promise is broken; what had been promised is the image's
    /// <see cref="CrashImage.Observation"/>.
    /// </param>
    /// <param name="options">Which states are tried.</param>
    /// <returns>How many states were checked.</returns>
    /// <exception cref="CrashCheckException">A state breaks a promise.</exception>
    public static async Task<long> RunAsync(CrashRecorder recorder, Func<CrashState, SimulatedStorageProvider, Task> verify, CrashEnumeration? options = null)
    {
        recorder.Capture("end of the run");
        long checkedStates = 0;
        foreach (CrashImage image in recorder.Images)
        {
            foreach (CrashState state in image.EnumerateStates(options))
            {
                try
                {
                    await verify(state, state.Open()).ConfigureAwait(false);
                }
                catch (Exception error)
                {
                    throw new CrashCheckException(state, error);
                }

                checkedStates++;
            }
        }

        return checkedStates;
    }

    /// <summary>
    /// As the other overload, for a guest that was recorded by a <see cref="SectorOracle"/>: <paramref name="readDisk"/> opens the guest's disk in the
    /// storage it is given and reads all of it.
    /// </summary>
    public static Task<long> RunAsync(CrashRecorder recorder, Func<SimulatedStorageProvider, Task<byte[]>> readDisk, CrashEnumeration? options = null)
        => RunAsync(recorder, async (state, storage) => ((SectorOracle)state.Image.Observation!).Check(await readDisk(storage).ConfigureAwait(false)), options);
}
