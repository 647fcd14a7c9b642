namespace BlockLayer.Libvirt;

/// <summary>Hears that a background copy is over. Its place in the graph is given back by then; a new one may be started.</summary>
/// <param name="copy">Which.</param>
/// <param name="result">0: it has copied everything, durably. Otherwise a negative errno: -125 (ECANCELED), -28 (ENOSPC), -5 (EIO), ...</param>
public delegate void BackgroundCopyCallback(BackgroundCopy copy, int result);
