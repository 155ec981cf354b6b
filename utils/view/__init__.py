"""The page on which predictions are looked at and corrected: `view.html`, made by `vid_predict.py`.

Data flows results of a folder, or a dataset → `contents` → `page` (a file); `server` shows a folder of them.
"""
