# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules and action plugins do: options in, the engine, a task's result out. The same for both."""
